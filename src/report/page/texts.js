// What was written and read: the prompt with its segments, one item's outputs layer by layer, the runs' settings.

const SEGMENTS = ['bos', 'opening', 'instructions', 'examples', 'query', 'closing'];

function runName(panel, run) {
  const name = `${run.format}, ${counted(run.nprompts, 'example')}, seed ${run.seed}`;
  const same = panel.runs.filter((r) => r.format === run.format && r.nprompts === run.nprompts && r.seed === run.seed);
  return same.length > 1 ? `${name} (${run.folder})` : name;
}

function runChoice(panel, state, change) {
  return choice(
    'Run',
    panel.runs.map((run, index) => [index, runName(panel, run)]),
    state.run,
    (value) => change({ run: Number(value) }),
  );
}

// --- The prompt ---

function segmentClass(name) {
  return SEGMENTS.includes(name) ? `segment ${name}` : 'segment';
}

function isHidden(hidden, index) {
  return Array.isArray(hidden) && hidden.some(([from, till]) => from <= index && index < till);
}

/** A token's text, with a sign before each line end, which else could not be told from the page's own. */
function tokenParts(text) {
  return visible(text)
    .split('\n')
    .flatMap((part, i) => (i ? [make('span', { class: 'newline' }), '\n', part] : [part]));
}

function promptText(run, intervention) {
  const { tokens, text } = run.prompt;
  if (!tokens.length) return [text];
  const hidden = run.hidden[intervention];
  const segments = [];
  tokens.forEach((token, index) => {
    const last = segments[segments.length - 1];
    const segment = last && last.name === token.segment ? last : { name: token.segment, tokens: [] };
    if (segment !== last) segments.push(segment);
    segment.tokens.push(
      make(
        'span',
        { class: isHidden(hidden, index) ? 'token hidden' : 'token', title: `token ${index}, ${token.segment}` },
        tokenParts(token.text),
      ),
    );
  });
  return segments.map((segment) =>
    make('span', { class: segmentClass(segment.name) }, make('span', { class: 'tag' }, segment.name), segment.tokens),
  );
}

/** What the intervention hides, in words. */
function interventionNote(run, intervention) {
  const hidden = run.hidden[intervention];
  const all = run.prompt.tokens.length;
  if (!intervention) return all ? `${all} tokens; nothing is hidden.` : 'Nothing is hidden.';
  if (hidden === 'own') return 'From layer l on each token sees only itself: every other one is hidden from it.';
  if (!Array.isArray(hidden) || !hidden.length) return 'No token is hidden.';
  if (!all)
    return `Hidden from layer l on: tokens ${hidden.map(([from, till]) => `${from} to ${till - 1}`).join(', ')}; the results do not say which they are.`;
  const count = run.prompt.tokens.filter((_, index) => isHidden(hidden, index)).length;
  return `${count} of ${all} tokens are hidden from layer l on (struck through).`;
}

function promptSection(panel, state, change) {
  const run = panel.runs[state.run];
  const interventions = [
    ['', 'nothing hidden'],
    ...Object.keys(run.hidden)
      .filter((mask) => mask !== 'none')
      .map((mask) => [mask, mask]),
  ];
  const names = [...new Set(run.prompt.tokens.map((token) => token.segment))];
  const intervention = state.hide in run.hidden ? state.hide : '';
  return [
    make(
      'div',
      { class: 'controls' },
      runChoice(panel, state, change),
      choice('Intervention', interventions, intervention, (value) => change({ hide: value, ...(value ? { mask: value } : {}) })),
    ),
    names.length
      ? make(
          'p',
          { class: 'keys' },
          names.map((name) => make('span', { class: segmentClass(name) }, name)),
        )
      : null,
    make('p', { class: 'remark' }, `Item ${run.prompt.id}. ${interventionNote(run, intervention)}`),
    scrollBox('Prompt', { class: 'prompt' }, ...promptText(run, intervention)),
  ];
}

// --- One item ---

/** Words and what is between them; where a language writes no spaces, the browser knows its words. */
function words(text) {
  if (window.Intl && Intl.Segmenter) {
    return [...new Intl.Segmenter(undefined, { granularity: 'word' }).segment(text)].map((s) => [
      s.segment,
      s.isWordLike,
    ]);
  }
  return text.split(/([\p{L}\p{M}\p{N}]+)/u).map((part, i) => [part, i % 2 === 1]);
}

/** `text` with the words marked that the reference has too, each as often as it stands there. */
function marked(text, reference) {
  const left = new Map();
  const key = (word) => word.toLocaleLowerCase();
  for (const [word, is] of words(reference)) if (is) left.set(key(word), (left.get(key(word)) || 0) + 1);
  return words(text).map(([word, is]) => {
    const n = is ? left.get(key(word)) || 0 : 0;
    if (n) left.set(key(word), n - 1);
    return n ? make('mark', {}, word) : word;
  });
}

function textBlock(panel, text, reference) {
  if (!text) return make('p', { class: 'text empty' }, '(empty)');
  if (panel.task === 'code') return make('pre', { class: 'text code', dir: 'ltr' }, text);
  return make(
    'p',
    { class: 'text', dir: 'auto' },
    reference === undefined ? text : marked(visible(text), visible(reference)),
  );
}

/** The outputs of one run and mask from the baseline up; layers that follow each other with one text are one row. */
function outputRows(item, run, mask) {
  const rows = [];
  const outputs = item.outputs
    .filter((o) => o.run === run && (o.layer === null || o.mask === mask))
    .sort((a, b) => (a.layer ?? -1) - (b.layer ?? -1));
  for (const { layer, text, score, verdict, right } of outputs) {
    const last = rows[rows.length - 1];
    if (last && layer !== null && last.layers.length && last.text === text && last.verdict === verdict)
      last.layers.push(layer);
    else rows.push({ layers: layer === null ? [] : [layer], text, score, verdict, right });
  }
  return rows;
}

function judgement(row) {
  if (row.verdict) {
    return make(
      'span',
      { class: `verdict ${row.verdict === 'passed' ? 'good' : 'bad'}` },
      `${row.verdict === 'passed' ? '\u2713' : '\u2717'} ${row.verdict}`,
    );
  }
  if (known(row.right)) {
    return make(
      'span',
      { class: `verdict ${row.right ? 'good' : 'bad'}` },
      row.right ? '\u2713 right' : '\u2717 wrong',
    );
  }
  return !known(row.score)
    ? null
    : make('span', { title: 'BLEU of this sentence' }, make('span', { class: 'unit' }, 'BLEU '), fixed(row.score, 1));
}

function outputRow(panel, item, row) {
  const single = new Set(row.layers).size === 1;
  const name = row.layers.length ? `${single ? 'layer' : 'layers'} ${ranges([...new Set(row.layers)])}` : 'baseline';
  return make(
    'li',
    { 'data-layers': row.layers.join(' ') },
    make('div', { class: 'where' }, name),
    textBlock(panel, item.texts[row.text] ?? '', item.target),
    make('div', { class: 'judgement' }, judgement(row)),
  );
}

function masksOf(item, run) {
  return [...new Set(item.outputs.filter((o) => o.run === run && o.layer !== null).map((o) => o.mask))];
}

function itemBody(panel, state) {
  const item = panel.examples[state.item];
  const masks = masksOf(item, state.run);
  const rows = outputRows(item, state.run, masks.includes(state.mask) ? state.mask : masks[0]);
  return make(
    'div',
    { class: panel.task === 'code' ? 'beside programs' : 'beside' },
    make(
      'div',
      { class: 'given' },
      make('h3', {}, 'Source'),
      textBlock(panel, item.source),
      make('h3', {}, 'Reference'),
      textBlock(panel, item.target),
    ),
    make(
      'div',
      {},
      make('h3', {}, 'Outputs'),
      rows.length
        ? make(
            'ol',
            { class: 'outputs' },
            rows.map((row) => outputRow(panel, item, row)),
          )
        : make('p', { class: 'remark' }, 'This run has no output for this item.'),
    ),
  );
}

/** Two items may begin alike, so the id is part of the name. */
function itemName(item, index) {
  const begins = [...visible(item.source).trim().replace(/\s+/g, ' ')];
  return `${index + 1}. ${item.id}: ${begins.length > 60 ? `${begins.slice(0, 60).join('')}\u2026` : begins.join('')}`;
}

function itemSection(panel, state, change) {
  const last = panel.examples.length - 1;
  const to = (index) => change({ item: Math.max(0, Math.min(last, index)) });
  const step = (text, by) =>
    make(
      'button',
      {
        type: 'button',
        'data-step': by,
        'aria-disabled': state.item + by < 0 || state.item + by > last ? 'true' : null,
        'aria-keyshortcuts': 'ArrowLeft ArrowRight',
        click: () => to(state.item + by),
      },
      text,
    );
  const keys = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || event.target.tagName !== 'BUTTON') return;
    event.preventDefault();
    to(state.item + by);
  };
  const masks = masksOf(panel.examples[state.item], state.run);
  return [
    make(
      'div',
      { class: 'controls', keydown: keys },
      choice(
        'Item',
        panel.examples.map((item, index) => [index, itemName(item, index)]),
        state.item,
        (value) => to(Number(value)),
      ),
      make('div', { class: 'steps' }, step('Previous', -1), step('Next', 1)),
      panel.runs.length ? runChoice(panel, state, change) : null,
      masks.length
        ? choice(
            'Intervention',
            masks.map((mask) => [mask, mask]),
            masks.includes(state.mask) ? state.mask : masks[0],
            (value) => change({ mask: value, hide: value }),
          )
        : null,
    ),
    panel.task === 'mt'
      ? make('p', { class: 'remark' }, 'Words that the reference has too are ', make('mark', {}, 'marked'), '.')
      : null,
    itemBody(panel, state),
    optionsBlock(panel, panel.examples[state.item], state, masks.includes(state.mask) ? state.mask : masks[0], change),
  ];
}

// --- The runs ---

function settingText(value) {
  return typeof value === 'string' && value && value === value.trim() && !/[\n\t]/.test(value)
    ? value
    : JSON.stringify(value);
}

/** Settings within settings get their names in one row: `format_strings.header`. */
function settingRows(settings, prefix = '') {
  return Object.entries(settings).flatMap(([key, value]) => {
    const nested = value && typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length;
    return nested ? settingRows(value, `${prefix}${key}.`) : [[prefix + key, settingText(value)]];
  });
}

function commandBlock(argv) {
  const command = commandLine(argv);
  return make(
    'div',
    { class: 'command' },
    make('pre', {}, command),
    copyButton('Copy', () => command),
  );
}

function runDetails(panel, run) {
  const about = {
    folder: run.folder,
    'icl-mask': run.version,
    git: run.git ?? 'unknown',
    device: run.device,
    threads: run.threads,
  };
  const rows = [...settingRows(about), ...settingRows(run.settings)];
  return make(
    'details',
    {},
    make('summary', {}, runName(panel, run)),
    make('h3', {}, 'How to run it again'),
    commandBlock(run.command),
    make('h3', {}, 'Settings'),
    make(
      'table',
      { class: 'settings' },
      make(
        'tbody',
        {},
        rows.map(([key, value]) => make('tr', {}, make('th', { scope: 'row' }, key), make('td', {}, value))),
      ),
    ),
  );
}
