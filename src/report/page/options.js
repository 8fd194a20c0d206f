// One item's options: how likely each of them is, layer by layer, as a chart and as a table.

/** What the chart and the table can show: the key in the data, the name in the choice, the text of a number. */
const WEIGHTS = [
  { view: 'probability', key: 'probabilities', name: 'probability among the options', text: probability },
  { view: 'logprob', key: 'logprobs', name: 'log-probability', text: (value) => fixed(value, 2) },
];

function weightsView(state) {
  return WEIGHTS.find(({ view }) => view === state.weights) ?? WEIGHTS[0];
}

/** The cells of one intervention, sorted by layer, and the baseline. */
function weightCells(options, mask) {
  const layers = options.cells.filter((cell) => cell.layer !== null && cell.mask === mask);
  return {
    baseline: options.cells.find((cell) => cell.layer === null) ?? null,
    layers: layers.sort((a, b) => a.layer - b.layer),
  };
}

/** The options that are drawn, by name; the right one is the first. */
function optionNames(item, options) {
  return options.texts.map((place) => item.texts[place] || '(empty)');
}

/** An option's marker: those that would look like an earlier one are hollow. */
function optionMarker(index, attributes, ...children) {
  const { colour, marker } = styleOf(index);
  const kind = `${attributes.class ?? ''}${index < MARKERS.length ? '' : ' hollow'}`;
  return svg('path', { ...attributes, class: `marker${kind}`, d: marker, fill: colour, color: colour }, ...children);
}

function optionSwatch(index) {
  const { colour, dash } = styleOf(index);
  return svg(
    'svg',
    { class: 'swatch', viewBox: '0 0 34 14', width: 34, height: 14, 'aria-hidden': 'true' },
    svg('path', { class: index ? 'line' : 'line right', d: 'M1,7H33', stroke: colour, 'stroke-dasharray': dash }),
    optionMarker(index, { transform: 'translate(17 7)' }),
  );
}

/** Round steps that hold both ends. */
function marksBetween(low, high, about) {
  const step = ticks(high - low || 1, about)[1];
  const from = Math.floor(low / step + 1e-9);
  const to = Math.max(from + 1, Math.ceil(high / step - 1e-9));
  return Array.from({ length: to - from + 1 }, (_, i) => Number(((from + i) * step).toPrecision(12)));
}

/** A small chart with a line for each option, at the size that its place has. */
class WeightsChart {
  constructor(panel, names, cells, view) {
    Object.assign(this, { panel, names, cells, view });
    this.drawing = svg('svg', { role: 'img', 'aria-labelledby': 'weights-title weights-desc' });
    this.element = make('div', { class: 'weights-plot' }, this.drawing);
    this.size = new ResizeObserver(() => this.draw());
    this.size.observe(this.element);
  }

  draw() {
    const width = Math.round(this.element.clientWidth);
    if (!width) return;
    const { view, cells } = this;
    const height = width < 560 ? 230 : 270;
    const values = [cells.baseline, ...cells.layers].flatMap((cell) => cell?.[view.key] ?? []);
    if (!values.length) return;
    const marks = view.view === 'probability' ? ticks(1, 4) : marksBetween(Math.min(...values), Math.max(...values), 4);
    const decimals = Math.max(...marks.map((mark) => (String(mark).split('.')[1] || '').length));
    const longest = Math.max(...marks.map((mark) => fixed(mark, decimals).length));
    this.box = { left: Math.max(14 + 8 * longest, 44), right: width - 8, top: 28, bottom: height - 44 };
    this.place(marks);
    this.drawing.replaceChildren(...this.words(), ...this.axes(marks, decimals), ...this.baselines(), ...this.lines());
    fill(this.drawing, { width, height, viewBox: `0 0 ${width} ${height}` }, []);
  }

  /** From layers and numbers to the box; the baseline has a column of its own, left of the layers. */
  place(marks) {
    const { box, panel, cells } = this;
    const last = Math.max(panel.n_layers - 1, ...cells.layers.map((cell) => cell.layer), 0);
    const left = box.left + (cells.baseline ? 64 : 14);
    const right = box.right - 14;
    const [low, high] = [marks[0], marks[marks.length - 1]];
    this.last = last;
    this.step = last ? (right - left) / last : right - left;
    this.base = box.left + 14;
    this.x = (layer) => (last ? left + ((right - left) * layer) / last : (left + right) / 2);
    this.y = (value) => box.bottom - ((box.bottom - box.top) * (value - low)) / (high - low);
  }

  /** What the chart shows, for those who do not see it. */
  words() {
    const { cells, names, view } = this;
    const said = (cell) => view.text(cell[view.key][0]);
    const { layers, baseline } = cells;
    const [first, final] = [layers[0], layers[layers.length - 1]];
    const course = first ? ` It is ${said(first)} at layer ${first.layer}` : '';
    const end = first && final !== first ? ` and ${said(final)} at layer ${final.layer}` : '';
    const base = baseline ? ` In the baseline it is ${said(baseline)}.` : '';
    return [
      svg('title', { id: 'weights-title' }, `${view.name} of ${counted(names.length, 'option')} by layer`),
      svg(
        'desc',
        { id: 'weights-desc' },
        `The right option is ${names[0]}.${course}${end}${course ? '.' : ''}${base} The table below has all numbers.`,
      ),
    ];
  }

  axes(marks, decimals) {
    const { box, panel, view } = this;
    const every = [1, 2, 5, 10, 20, 50, 100].find((n) => n * this.step >= 24) || 200;
    const layers = Array.from({ length: this.last + 1 }, (_, i) => i).filter((layer) => layer % every === 0);
    const label = (attributes, text) => svg('text', { class: 'tick', ...attributes }, text);
    const below = { y: box.bottom + 18, 'text-anchor': 'middle' };
    return [
      marks.map((mark, i) =>
        svg('path', { class: i ? 'grid' : 'axis', d: `M${box.left},${at(this.y(mark))}H${box.right}` }),
      ),
      marks.map((mark) =>
        label(
          { class: 'tick y', x: box.left - 8, y: at(this.y(mark)), dy: '0.32em', 'text-anchor': 'end' },
          fixed(mark, decimals),
        ),
      ),
      layers.map((layer) => label({ class: 'tick x', x: at(this.x(layer)), ...below }, layer)),
      this.cells.baseline ? label({ class: 'tick base', x: at(this.base), ...below }, 'baseline') : null,
      svg('text', { class: 'title', x: 2, y: 14 }, view.name),
      svg(
        'text',
        { class: 'title', x: at((box.left + box.right) / 2), y: box.bottom + 38, 'text-anchor': 'middle' },
        axisName(panel),
      ),
    ]
      .flat()
      .filter(Boolean);
  }

  marker(index, x, value, where) {
    const name = `${this.names[index]}${index ? '' : ' (right)'}, ${where}: ${this.view.text(value)}`;
    const size = this.step < 9 ? ' scale(0.6)' : index ? ' scale(0.8)' : '';
    const transform = `translate(${at(x)} ${at(this.y(value))})${size}`;
    return optionMarker(index, { class: index ? '' : ' right', transform }, svg('title', {}, name));
  }

  /** A dashed level line for each option, with the option's marker at its left end. */
  baselines() {
    const values = this.cells.baseline?.[this.view.key] ?? [];
    const lines = values.map((value, index) =>
      svg('path', {
        class: index ? 'baseline' : 'baseline right',
        stroke: styleOf(index).colour,
        d: `M${at(this.base)},${at(this.y(value))}H${this.box.right}`,
      }),
    );
    const markers = values.map((value, index) => this.marker(index, this.base, value, 'baseline'));
    return [...lines.reverse(), ...markers.reverse()];
  }

  /** The right option is drawn last, above the others. */
  lines() {
    const { cells, view } = this;
    const shapes = this.names.map((_, index) => {
      const { colour, dash } = styleOf(index);
      const points = cells.layers.map((cell) => [cell.layer, cell[view.key][index]]);
      const path = points.map(([layer, value], i) => `${i ? 'L' : 'M'}${at(this.x(layer))},${at(this.y(value))}`);
      return [
        svg('path', {
          class: index ? 'line' : 'line right',
          stroke: colour,
          'stroke-dasharray': dash,
          d: path.join(''),
        }),
        ...points.map(([layer, value]) => this.marker(index, this.x(layer), value, `layer ${layer}`)),
      ];
    });
    return shapes.reverse().flat();
  }
}

/** An option's sign and name. The right one has a tick before it. */
function optionLabel(name, index) {
  return [
    optionSwatch(index),
    index ? null : make('span', { class: 'good' }, '\u2713 right: '),
    make('span', { class: 'option', dir: 'auto' }, name),
  ];
}

function weightsTable(names, options, cells, view) {
  const cell = (value) => make('td', { 'data-value': value }, view.text(value));
  const others = view.view === 'probability' && options.left_out > 0;
  const isLong = (name) => name.length > 24;
  const row = (name, attributes, weights) =>
    make(
      'tr',
      attributes,
      make('th', { scope: 'row' }, name),
      weights[view.key].map(cell),
      others ? cell(weights.others) : null,
    );
  return make(
    'table',
    { class: names.some(isLong) ? 'weights wordy' : 'weights', 'data-view': view.view },
    make('caption', { class: 'unseen' }, `${view.name} by layer`),
    make(
      'thead',
      {},
      make(
        'tr',
        {},
        make('th', { scope: 'col' }, 'layer'),
        names.map((name, index) =>
          make('th', { scope: 'col', class: isLong(name) ? 'long' : null }, optionLabel(name, index)),
        ),
        others ? make('th', { scope: 'col' }, `the ${counted(options.left_out, 'other')} together`) : null,
      ),
    ),
    make(
      'tbody',
      {},
      cells.baseline ? row('baseline', { class: 'base' }, cells.baseline) : null,
      cells.layers.map((weights) => row(weights.layer, { 'data-layer': weights.layer }, weights)),
    ),
  );
}

function weightsCaption(options, cells, view) {
  const said = [
    view.view === 'probability'
      ? 'The probability of each option among the options of this item: the softmax of their log-probabilities over all of them.'
      : 'The natural logarithm of the probability of each option after the prompt, summed over its tokens.',
    'The right option has the heavy line.',
  ];
  if (cells.baseline) said.push('Dashed level lines show the baseline; the marker at their left end says of which option.');
  if (options.left_out) {
    const others = options.by_baseline
      ? 'those that are likeliest in the baseline'
      : 'the first ones of the item, because this run has no baseline';
    const drawn = `${counted(options.texts.length, 'option')} are drawn: the right one and ${others}.`;
    said.push(`${drawn} ${counted(options.left_out, 'other is', 'others are')} left out.`);
  }
  return said.join(' ');
}

/** The options of one item under one intervention; nothing where the run weighed none. */
function optionsBlock(panel, item, state, mask, change) {
  const options = (item.options ?? []).find((o) => o.run === state.run);
  if (!options) return null;
  const view = weightsView(state);
  const names = optionNames(item, options);
  const cells = weightCells(options, mask);
  const table = weightsTable(names, options, cells, view);
  return make(
    'div',
    { class: 'weighed' },
    make('h3', {}, mask ? `Options, layer by layer: ${mask}` : 'Options'),
    make(
      'div',
      { class: 'controls' },
      choice(
        'Options by',
        WEIGHTS.map(({ view, name }) => [view, name]),
        view.view,
        (value) => change({ weights: value }),
      ),
      copyButton('Copy numbers', () => tabSeparated(table)),
    ),
    make(
      'figure',
      {},
      new WeightsChart(panel, names, cells, view).element,
      make(
        'ul',
        { class: 'options-key' },
        names.map((name, index) => make('li', {}, optionLabel(name, index))),
      ),
      make('figcaption', {}, weightsCaption(options, cells, view)),
    ),
    scrollBox('Numbers of the options', { class: 'tall' }, table),
  );
}
