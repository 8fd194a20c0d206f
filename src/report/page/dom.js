'use strict';
// What all parts of the page use: elements, texts that are safe to show, numbers as they are printed.

// Texts of models and corpora may hold anything. What would move the text around it, or be invisible, is shown instead.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

function visible(text) {
  return String(text).replace(/\r\n/g, '\n').replace(UNSEEN, '\ufffd');
}

function known(value) {
  return value !== null && value !== undefined;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && known(value)) element.setAttribute(name, visible(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child instanceof Node) element.append(child);
    else if (known(child) && child !== false) {
      element.append(document.createTextNode(visible(child)));
    }
  }
  return element;
}

/** An element; functions among its attributes become listeners, strings among its children become text. */
function make(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

/** `value` with `digits` decimals; a value exactly between two goes to the even one, as in the tool's own tables. */
function fixed(value, digits) {
  let text = value.toFixed(digits);
  const exact = value.toFixed(60);
  const cut = exact.slice(0, exact.length - 60 + digits);
  if (/^50*$/.test(exact.slice(cut.length)) && '02468'.includes(cut[cut.length - 1])) text = cut;
  if (Number(text) === 0) text = text.replace('-', '');
  return text.replace('-', '\u2212');
}

function signed(value, digits) {
  const text = fixed(value, digits);
  return Number(text) > 0 ? `+${text}` : text;
}

function interval(pair, digits) {
  return `${fixed(pair[0], digits)} to ${fixed(pair[1], digits)}`;
}

function probability(p) {
  return p < 0.001 ? '< 0.001' : fixed(p, 3);
}

function counted(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

/** Sorted layers as ranges: "0 to 4, 6". */
function ranges(layers) {
  const found = [];
  for (const layer of layers) {
    const last = found[found.length - 1];
    if (last && layer === last[1] + 1) last[1] = layer;
    else found.push([layer, layer]);
  }
  return found.map(([a, b]) => (a === b ? `${a}` : b === a + 1 ? `${a}, ${b}` : `${a} to ${b}`)).join(', ');
}

/** One argument as a POSIX shell reads it; control and direction characters as bash and zsh write them. */
function quoted(argument) {
  if (/^[\w@%+=:,./-]+$/.test(argument)) return argument;
  const escaped = (c) =>
    c < '\u0080'
      ? `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`
      : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
  const raw = argument
    .replace(/['\\]/g, '\\$&')
    .replace(/[\n\t]/g, escaped)
    .replace(UNSEEN, escaped);
  if (/[\n\t]/.test(argument) || argument.search(UNSEEN) >= 0) return `$'${raw}'`;
  return `'${argument.replace(/'/g, "'\\''")}'`;
}

function commandLine(argv) {
  return argv.map(quoted).join(' ');
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Where the page may not write to the clipboard by itself, a selection still can be copied.
    const area = make('textarea', { class: 'unseen', 'aria-hidden': 'true' });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

function copyButton(name, text) {
  const button = make(
    'button',
    {
      type: 'button',
      click: async () => {
        const done = await copy(text());
        button.focus();
        button.textContent = done ? 'Copied' : 'Not copied';
        setTimeout(() => {
          button.textContent = name;
        }, 1500);
      },
    },
    name,
  );
  return button;
}

/** A labelled select; `options` are [value, text]. */
function choice(name, options, value, change) {
  const select = make(
    'select',
    { change: () => change(select.value) },
    options.map(([key, text]) => make('option', { value: key }, text)),
  );
  select.value = value;
  return make('label', { class: 'choice' }, make('span', {}, name), select);
}

function scrollBox(name, attributes, ...children) {
  return make(
    'div',
    { ...attributes, class: `scroll ${attributes.class || ''}`, tabindex: '0', role: 'region', 'aria-label': name },
    ...children,
  );
}

/** The parts of a curve's label; hidden ones have a line above them. */
function labelOf(curve) {
  return make(
    'span',
    { class: 'label' },
    curve.label.map((part) =>
      part.hidden
        ? [make('span', { class: 'over' }, part.text), make('span', { class: 'unseen' }, ' hidden, ')]
        : part.text,
    ),
  );
}

/** A curve's label as plain text, where no line can be drawn above it. */
function plainName(curve) {
  return curve.name || curve.label.map((part) => part.text).join('');
}
