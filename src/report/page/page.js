// The page: what is chosen (the address keeps it), the figure with its readout, and the sections of a panel.

const DATA = JSON.parse(document.getElementById('data').textContent);

// --- What is chosen ---

/** The layer that the readout begins with: where the task is recognised, else the last one. */
function firstLayer(panel) {
  const found = panel.curves.flatMap((curve) => curve.recognition).find((entry) => known(entry.layer));
  const layers = panel.curves.flatMap((curve) => curve.points.map((point) => point.layer));
  return found ? found.layer : Math.max(...layers, 0);
}

function defaults(index) {
  const panel = DATA.panels[index];
  const mask = panel.curves[0]?.mask ?? '';
  const chosen = { layer: firstLayer(panel), item: 0, run: 0, mask, hide: mask, view: 'score', weights: 'probability' };
  return { panel: index, ...chosen, off: new Set() };
}

const count = (text, length) => (/^\d+$/.test(text ?? '') && Number(text) < length ? Number(text) : null);

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const state = defaults(count(asked.get('panel'), DATA.panels.length) ?? 0);
  const panel = DATA.panels[state.panel];
  state.layer = count(asked.get('layer'), Infinity) ?? state.layer;
  state.run = count(asked.get('run'), panel.runs.length) ?? 0;
  state.item = Math.max(
    0,
    panel.examples.findIndex((item) => item.id === asked.get('item')),
  );
  for (const key of ['mask', 'hide', 'view', 'weights']) state[key] = asked.get(key) ?? state[key];
  for (const index of (asked.get('off') ?? '').split(','))
    if (count(index, panel.curves.length) !== null) state.off.add(Number(index));
  return state;
}

function addressOf(state) {
  const panel = DATA.panels[state.panel];
  const wanted = {
    panel: state.panel,
    layer: state.layer,
    item: panel.examples[state.item]?.id,
    run: state.run,
    mask: state.mask,
    hide: state.hide,
    view: state.view,
    weights: panel.examples.some((item) => item.options) ? state.weights : undefined,
    off: [...state.off].join(','),
  };
  return `#${new URLSearchParams(Object.entries(wanted).filter(([, value]) => value !== undefined))}`;
}

// --- The figure ---

function readValues(panel, point) {
  if (!point) return [make('div', { class: 'none' }, 'no result at this layer')];
  const { digits } = panel;
  const value = (key, data, text) => make('span', { 'data-key': key, 'data-value': [data].flat().join(' ') }, text);
  const band = bandOf(point);
  const difference = !known(point.difference)
    ? null
    : make(
        'div',
        {},
        'difference ',
        value('difference', point.difference, signed(point.difference, digits)),
        point.difference_interval
          ? [
              ' (',
              value('difference_interval', point.difference_interval, interval(point.difference_interval, digits)),
              ')',
            ]
          : null,
      );
  const p = !known(point.p_corrected)
    ? null
    : make('div', {}, 'corrected p ', value('p_corrected', point.p_corrected, probability(point.p_corrected)));
  return [
    make(
      'div',
      {},
      make('strong', {}, value('score', point.score, fixed(point.score, digits))),
      band ? [' (', value(point.both ? 'both' : 'items', band, interval(band, digits)), ')'] : null,
    ),
    difference,
    p,
  ];
}

function captionOf(panel) {
  const all = panel.curves.flatMap((curve) => curve.points);
  const from = [...new Set(all.filter(bandOf).map((point) => (point.both ? 'test items and seeds' : 'test items')))];
  const said = [];
  if (from.length) said.push(`Bands and numbers in parentheses: 95 % intervals from resampling ${from.join(' or ')}.`);
  if (all.some((point) => point.seeds.length > 1)) said.push('Small dots: single seeds; curves: their mean.');
  if (all.some((point) => known(point.difference))) said.push('Differences are paired, against the baseline.');
  if (all.some((point) => known(point.p_corrected))) said.push('p is corrected for the number of layers.');
  if (all.some((point) => known(point.vary_difference)))
    said.push('Varied prompts are compared with the prompts as they are, paired by test item: see the table of scores.');
  return said.join(' ');
}

function spoken(panel, state) {
  const said = panel.curves.map((curve, index) => {
    const point = curve.points.find((p) => p.layer === state.layer);
    if (!point || state.off.has(index)) return null;
    return `${plainName(curve)}: ${readValues(panel, point)
      .map((part) => part?.textContent)
      .filter(Boolean)
      .join(', ')}.`;
  });
  return [`Layer ${state.layer}.`, ...said.filter(Boolean)].join(' ');
}

/** The legend, whose entries are buttons, with each curve's values at the layer that is read off. */
function readout(panel, state, toggle) {
  const head = make('h3', { class: 'read' });
  const values = panel.curves.map(() => make('div', { class: 'values' }));
  const buttons = panel.curves.map((curve, index) =>
    make(
      'button',
      { type: 'button', class: 'legend', click: () => toggle(index) },
      swatch(index),
      make('span', {}, labelOf(curve), make('span', { class: 'name' }, curve.name)),
    ),
  );
  const update = () => {
    head.textContent = `Layer ${state.layer}`;
    panel.curves.forEach((curve, index) => {
      const point = curve.points.find((p) => p.layer === state.layer);
      buttons[index].setAttribute('aria-pressed', String(!state.off.has(index)));
      values[index].replaceChildren(...readValues(panel, point).filter(Boolean));
    });
  };
  const entries = buttons.map((button, index) => make('li', { 'data-curve': index }, button, values[index]));
  return { element: make('div', { class: 'readout' }, head, make('ul', {}, entries)), update };
}

function figure(panel, state, change) {
  const toggle = (index) => {
    if (!state.off.delete(index)) state.off.add(index);
    change({ off: state.off });
  };
  const chart = new Chart(panel, state.off, (layer) => change({ layer }));
  const read = readout(panel, state, toggle);
  const status = make('div', { class: 'unseen', role: 'status' });
  let timer = null;
  const update = (speak) => {
    chart.set(state.layer);
    state.layer = chart.layer;
    read.update();
    clearTimeout(timer);
    // Who moves on at once is not told of every layer on the way.
    const say = () => {
      status.textContent = spoken(panel, state);
    };
    if (speak) timer = setTimeout(say, 250);
  };
  const stage = panel.curves.length > 3 ? 'stage many' : 'stage';
  // Curves of the same prompts have the same baseline.
  const changed = [...new Set(panel.curves.map((curve) => curve.changed).filter(known))];
  const element = make(
    'figure',
    {},
    make('div', { class: stage }, chart.element, read.element),
    make('figcaption', {}, captionOf(panel)),
    changed.map((sentence) => make('p', { class: 'remark' }, sentence)),
    status,
  );
  return { element, update, redraw: () => chart.draw() };
}

// --- The page ---

function section(name, ...children) {
  const id = `section-${name.toLowerCase().replace(/\W+/g, '-')}`;
  return make('section', { 'aria-labelledby': id }, make('h2', { id }, name), ...children);
}

/** Replaces a section's content and gives the focus back to the control that had it. */
function refill(box, children) {
  const controls = () => [...box.querySelectorAll('button, select, [tabindex]')];
  const focused = controls().indexOf(document.activeElement);
  box.replaceChildren(...children.filter(Boolean));
  box.querySelectorAll('.text, .given').forEach((text) => {
    if (text.scrollHeight > text.clientHeight + 1 || text.scrollWidth > text.clientWidth + 1) {
      const name = text.closest('li')?.querySelector('.where') ?? text.previousElementSibling;
      const label = name ? `Text: ${name.textContent}` : 'Source and reference';
      fill(text, { tabindex: '0', role: 'region', 'aria-label': label }, []);
    }
  });
  if (focused >= 0) controls()[focused]?.focus({ preventScroll: true });
}

function markLayer(root, layer) {
  root
    .querySelectorAll('tr[data-layer]')
    .forEach((row) => row.classList.toggle('now', Number(row.dataset.layer) === layer));
  root
    .querySelectorAll('li[data-layers]')
    .forEach((row) => row.classList.toggle('now', row.dataset.layers.split(' ').includes(String(layer))));
}

/** Words in a row; a task without languages has no direction. */
function named(...words) {
  return words.filter((word) => word).join(', ');
}

/** What a panel shows, from top to bottom; `boxes` are filled later, and again when something else is chosen. */
function panelSections(panel, drawn, boxes) {
  const recognised = panel.curves.some((curve) => curve.recognition.length);
  const of = make('span', { class: 'of' }, ` ${named(panel.data, panel.direction)}`);
  const tables = [
    section('Scores', boxes.scores),
    recognised ? section('Where the task is recognised', recognitionSection(panel)) : null,
  ];
  const runs = panel.runs.map((run) => runDetails(panel, run));
  return make(
    'div',
    {},
    make(
      'section',
      { 'aria-labelledby': 'panel-name' },
      make('h2', { id: 'panel-name' }, panel.name, of),
      make('p', { class: 'about' }, panel.about),
      panel.too_short ? make('p', { class: 'remark' }, `${panel.too_short}.`) : null,
      drawn ? drawn.element : make('p', {}, 'There are no scores of layers.'),
    ),
    panel.curves.length ? make('div', { class: recognised && panel.curves.length < 3 ? 'pair' : null }, tables) : null,
    panel.runs.length ? section('The prompt', boxes.prompt) : null,
    panel.examples.length ? section('One item, layer by layer', boxes.item) : null,
    panel.runs.length ? section('Settings and commands', runs) : null,
  );
}

/** Everything below the choice of a panel. `change` says what the reader chose. */
function panelView(state, change) {
  const panel = DATA.panels[state.panel];
  const boxes = { scores: make('div'), prompt: make('div'), item: make('div') };
  const drawn = panel.curves.some((curve) => curve.points.length) ? figure(panel, state, change) : null;
  const element = panelSections(panel, drawn, boxes);
  const update = (changed, speak = false) => {
    const any = (...keys) => keys.some((key) => changed.has(key));
    if (drawn && any('layer', 'off')) drawn.update(speak);
    if (drawn && any('off')) drawn.redraw();
    if (any('view')) refill(boxes.scores, scoresSection(panel, state, change));
    if (panel.runs.length && any('run', 'hide')) refill(boxes.prompt, promptSection(panel, state, change));
    if (panel.examples.length && any('run', 'mask', 'item', 'weights')) refill(boxes.item, itemSection(panel, state, change));
    markLayer(element, state.layer);
  };
  return { element, update };
}

/** Small charts, all panels of a metric on one scale; `choose` is told the one that is clicked. */
function overview(choose) {
  const tops = new Map();
  DATA.panels.forEach((panel) => tops.set(panel.metric, Math.max(tops.get(panel.metric) ?? 0, highest(panel) || 1)));
  return make(
    'nav',
    { class: 'overview', 'aria-label': 'Panels' },
    DATA.panels.map((panel, index) =>
      make(
        'button',
        { type: 'button', click: () => choose(index) },
        make('span', { class: 'model' }, panel.name),
        make('span', { class: 'name' }, named(panel.data, panel.direction, panel.metric)),
        smallChart(panel, tops.get(panel.metric)),
      ),
    ),
  );
}

function heading() {
  const ablated = DATA.panels.some((panel) => panel.curves.some(isAblation));
  const metrics = [...new Set(DATA.panels.map((panel) => panel.metric))].join(' or ');
  return make(
    'header',
    {},
    make('h1', {}, DATA.title),
    metrics
      ? make(
          'p',
          { class: 'lead' },
          `Each curve shows ${metrics} when the parts of the prompt with a `,
          make('span', { class: 'over' }, 'line above'),
          ' them are hidden from layer ',
          make('i', {}, 'l'),
          ' upwards',
          ablated ? ' (ablate-attention: that one layer has no attention)' : null,
          '. A dashed level line is the baseline: nothing is hidden.',
        )
      : make('p', {}, 'There are no results.'),
  );
}

function footer() {
  return make(
    'footer',
    {},
    make('h2', {}, 'About this page'),
    make('p', {}, `Made by icl-mask ${DATA.version}:`),
    commandBlock(DATA.made_by),
  );
}

function start() {
  const several = DATA.panels.length > 1;
  const nav = several ? overview((index) => change({ panel: index })) : null;
  const hint = several ? 'Panels of one metric have one scale. Choose one to see it large.' : null;
  const place = make('div');
  const page = document.getElementById('page');
  document.title = visible(DATA.title);
  page.replaceChildren();
  fill(page, {}, [heading(), nav, hint && make('p', { class: 'remark' }, hint), place, footer()]);
  if (!DATA.panels.length) return;
  let state;
  let view;
  let timer = null;
  const show = (next) => {
    state = next;
    view = panelView(state, change);
    place.replaceChildren(view.element);
    view.update(new Set(['layer', 'off', 'view', 'run', 'item']));
    const buttons = nav ? [...nav.children] : [];
    buttons.forEach((button, index) => button.setAttribute('aria-pressed', String(index === state.panel)));
  };
  function change(changes) {
    if (!known(changes.panel)) {
      Object.assign(state, changes);
      view.update(new Set(Object.keys(changes)), true);
    } else if (changes.panel !== state.panel) show({ ...defaults(changes.panel), view: state.view, weights: state.weights });
    // Browsers slow a page down that changes its address too often.
    clearTimeout(timer);
    timer = setTimeout(() => history.replaceState(null, '', addressOf(state)), 200);
  }
  show(readAddress());
  addEventListener('hashchange', () => show(readAddress()));
  addEventListener('beforeprint', () =>
    document.querySelectorAll('details').forEach((d) => d.setAttribute('open', '')),
  );
}

start();
