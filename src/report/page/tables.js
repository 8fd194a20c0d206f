// The tables of scores and of the layers where the task is recognised.

const hasAny = (panel, test) => panel.curves.some((curve) => [...curve.points, curve.baseline ?? {}].some(test));

/** What the table of scores can show: key, name, the point's number or numbers. */
function views(panel) {
  const any = (key) => hasAny(panel, (point) => known(point[key]));
  return [
    ['score', scoreName(panel), (p) => p.score],
    ['seeds', 'score of each seed', (p) => p.seeds?.map((seed) => seed.score)],
    ['items', '95 % interval, resampling test items', (p) => p.items],
    ['both', '95 % interval, resampling test items and seeds', (p) => p.both],
    ['difference', 'difference from the baseline', (p) => p.difference],
    ['difference_interval', '95 % interval of the difference', (p) => p.difference_interval],
    ['p', 'p of the difference', (p) => p.p],
    ['p_corrected', 'p of the difference, corrected', (p) => p.p_corrected],
    ['vary_difference', 'difference from the prompts as they are', (p) => p.vary_difference],
    ['vary_interval', '95 % interval of the difference from the prompts as they are', (p) => p.vary_interval],
    ['vary_p', 'p of the difference from the prompts as they are, not corrected', (p) => p.vary_p],
    ['seconds', 'seconds', (p) => p.seconds],
  ].filter(([key]) => (key === 'seeds' ? hasAny(panel, (p) => p.seeds?.length > 1) : key === 'score' || any(key)));
}

function cellText(key, value, digits) {
  if (key === 'seeds') return value.map((score) => fixed(score, digits)).join(', ');
  if (['p', 'p_corrected', 'vary_p'].includes(key)) return probability(value);
  if (key === 'seconds') return fixed(value, 1);
  if (Array.isArray(value)) return interval(value, digits);
  return key === 'difference' || key === 'vary_difference' ? signed(value, digits) : fixed(value, digits);
}

function scoreCell(view, point, digits) {
  const value = point ? view[2](point) : null;
  if (!known(value)) return make('td', { class: 'none' }, '\u2013');
  return make('td', { 'data-value': [value].flat().join(' ') }, cellText(view[0], value, digits));
}

function curveHead(curve, index) {
  return make(
    'th',
    { scope: 'col', 'data-mask': curve.mask, 'data-format': curve.format, 'data-nprompts': curve.nprompts },
    swatch(index),
    labelOf(curve),
    make('span', { class: 'name' }, curve.name),
  );
}

function scoreTable(panel, view) {
  const layers = [...new Set(panel.curves.flatMap((curve) => curve.points.map((point) => point.layer)))].sort(
    (a, b) => a - b,
  );
  const row = (name, attributes, pick) =>
    make(
      'tr',
      attributes,
      make('th', { scope: 'row' }, name),
      panel.curves.map((curve) => scoreCell(view, pick(curve), panel.digits)),
    );
  const identity = Object.fromEntries(
    ['model', 'data', 'direction', 'metric'].map((key) => [`data-${key}`, panel[key]]),
  );
  return make(
    'table',
    { class: 'scores', 'data-view': view[0], ...identity },
    make('caption', { class: 'unseen' }, `${view[1]} by layer`),
    make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, 'layer'), panel.curves.map(curveHead))),
    make(
      'tbody',
      {},
      row('baseline', { class: 'base' }, (curve) => curve.baseline),
      layers.map((layer) =>
        row(layer, { 'data-layer': layer }, (curve) => curve.points.find((point) => point.layer === layer)),
      ),
    ),
  );
}

/** The table as it is shown, with full numbers; a pair of numbers takes two columns. */
function tabSeparated(table) {
  const wide = table.dataset.view.endsWith('interval') || ['items', 'both'].includes(table.dataset.view);
  const plain = (text) => text.replace(/\s+/g, ' ').trim();
  return [...table.rows]
    .map((row) =>
      [...row.cells]
        .flatMap((cell, i) => {
          if (cell.tagName === 'TH') {
            const text = plain(cell.querySelector('.name')?.textContent ?? cell.textContent);
            return wide && i ? [`${text}, from`, `${text}, to`] : [text];
          }
          const values = (cell.dataset.value ?? '').split(' ');
          return wide ? [values[0], values[1] ?? ''] : [values.join(' ')];
        })
        .join('\t'),
    )
    .join('\n')
    .concat('\n');
}

function scoresSection(panel, state, change) {
  const offered = views(panel);
  const view = offered.find(([key]) => key === state.view) ?? offered[0];
  const table = scoreTable(panel, view);
  return [
    make(
      'div',
      { class: 'controls' },
      choice(
        'Shown',
        offered.map(([key, name]) => [key, name]),
        view[0],
        (value) => change({ view: value }),
      ),
      copyButton('Copy as TSV', () => tabSeparated(table)),
    ),
    scrollBox('Scores by layer', { class: 'tall' }, table),
  ];
}

function recognitionSection(panel) {
  const definitions = [...new Set(panel.curves.flatMap((curve) => curve.recognition.map((entry) => entry.definition)))];
  const cell = (entry) => {
    if (!entry) return make('td', { class: 'none' }, '\u2013');
    return make(
      'td',
      {},
      make('strong', {}, known(entry.layer) ? entry.layer : 'no layer'),
      entry.interval ? ` (95 % CI: ${entry.interval})` : null,
    );
  };
  return scrollBox(
    'Layers by definition',
    {},
    make(
      'table',
      { class: 'recognition' },
      make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, 'definition'), panel.curves.map(curveHead))),
      make(
        'tbody',
        {},
        definitions.map((definition) =>
          make(
            'tr',
            {},
            make('th', { scope: 'row' }, definition),
            panel.curves.map((curve) => cell(curve.recognition.find((entry) => entry.definition === definition))),
          ),
        ),
      ),
    ),
  );
}
