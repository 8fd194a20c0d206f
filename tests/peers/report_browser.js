'use strict';
// What tests/peers/report_browser.py asks of the page, from within the page.

window.probe = {
  middle(element) {
    const box = element.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  },

  /** The table of scores: what it is of, its curves and its cells with full values and texts. */
  table() {
    const table = document.querySelector('table.scores');
    const cells = (row) => [...row.cells].slice(1);
    return {
      place: [table.dataset.model, table.dataset.data, table.dataset.direction],
      heads: cells(table.tHead.rows[0]).map((c) => [c.dataset.mask, c.dataset.format, c.dataset.nprompts]),
      rows: [...table.tBodies[0].rows].map((row) => ({
        layer: row.dataset.layer ?? null,
        name: row.cells[0].textContent,
        cells: cells(row).map((cell) => [cell.dataset.value ?? null, cell.textContent]),
      })),
    };
  },

  /** Instead of the clipboard, which a browser without a window has not. */
  keepCopies() {
    navigator.clipboard.writeText = async (text) => {
      window.copied = text;
    };
  },

  readout() {
    const values = (entry) =>
      [...entry.querySelectorAll('[data-key]')].map((span) => [span.dataset.key, span.dataset.value, span.textContent]);
    return {
      title: document.querySelector('.read').textContent,
      status: document.querySelector('[role=status]').textContent,
      now: document.querySelector('.plot').getAttribute('aria-valuenow'),
      curves: [...document.querySelectorAll('.readout li')].map(values),
    };
  },

  /** Where the chart's markers, baselines and tick labels are, and what those labels say. */
  chart() {
    const all = (selector) => [...document.querySelectorAll(`.plot ${selector}`)];
    return {
      markers: all('.marker').map((m) => [Number(m.dataset.curve), Number(m.dataset.layer), ...probe.middle(m)]),
      layers: all('.tick.x').map((tick) => [Number(tick.textContent), probe.middle(tick)[0]]),
      scores: all('.tick.y').map((tick) => [Number(tick.textContent), probe.middle(tick)[1]]),
      baselines: all('.baseline').map((line) => probe.middle(line)[1]),
    };
  },

  outputs() {
    return [...document.querySelectorAll('.outputs li')].map((row) => {
      const text = row.querySelector('.text');
      const words = text.classList.contains('empty') ? '' : text.textContent;
      return [row.dataset.layers, row.querySelector('.where').textContent, words];
    });
  },

  /** The options of the item that is shown: the table's names and numbers, the chart's lines, and what it says of itself. */
  options() {
    const table = document.querySelector('table.weights');
    if (!table) return null;
    const cells = (row) => [...row.cells].slice(1);
    const drawing = document.querySelector('.weights-plot svg');
    const count = (selector) => drawing.querySelectorAll(selector).length;
    return {
      view: table.dataset.view,
      names: cells(table.tHead.rows[0]).map((cell) => cell.querySelector('.option')?.textContent ?? null),
      rows: [...table.tBodies[0].rows].map((row) => ({
        layer: row.dataset.layer ?? null,
        values: cells(row).map((cell) => Number(cell.dataset.value)),
      })),
      lines: count('.line'),
      heavy: count('.line.right'),
      baselines: count('.baseline'),
      markers: count('.marker'),
      said: ['title', 'desc'].map((name) => drawing.querySelector(name)?.textContent ?? ''),
    };
  },

  /** What is not to be there: characters that cannot be seen, and elements that the page does not make. */
  strange(unseen) {
    const attributes = [...document.querySelectorAll('main *')].flatMap((e) => [...e.attributes].map((a) => a.value));
    const text = [document.title, document.querySelector('main').textContent, ...attributes].join('');
    const others = ['img', 'iframe', 'object', 'embed', 'form', 'a', 'style', 'link', 'base', 'meta'];
    return {
      unseen: unseen.filter((code) => text.includes(String.fromCharCode(code))),
      scripts: document.scripts.length,
      others: [...document.querySelectorAll(others.map((name) => `body ${name}`).join())].map((e) => e.tagName),
    };
  },

  isBox(element) {
    return getComputedStyle(element).display !== 'inline';
  },

  scrolls(element) {
    const style = getComputedStyle(element);
    return /auto|scroll/.test(style.overflowX + style.overflowY);
  },

  /** The box that a text leaves; beyond a box that can be scrolled nothing is followed. */
  leaves(text) {
    const range = document.createRange();
    range.selectNodeContents(text);
    const parts = [...range.getClientRects()].filter((part) => part.width > 0);
    // A font may be higher than its line.
    const slack = parseFloat(getComputedStyle(text.parentElement).fontSize) / 2;
    for (let box = text.parentElement; box !== document.body; box = box.parentElement) {
      if (!probe.isBox(box)) continue;
      if (probe.scrolls(box)) return null;
      const outer = box.getBoundingClientRect();
      const within = (part) =>
        part.left >= outer.left - 1 &&
        part.right <= outer.right + 1 &&
        part.top >= outer.top - slack &&
        part.bottom <= outer.bottom + slack;
      if (!parts.every(within)) return box;
    }
    return null;
  },

  textsOutside() {
    const found = [];
    const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
      const parent = text.parentElement;
      if (!text.data.trim() || parent.closest('option, .unseen, svg') || !parent.checkVisibility()) continue;
      const box = probe.leaves(text);
      if (box) found.push(`${text.data.trim().slice(0, 40)} leaves ${box.tagName.toLowerCase()}.${box.className}`);
    }
    return found;
  },

  /** Boxes that cut their content off, and those for running text that have to be scrolled sideways. */
  boxesTooSmall() {
    const found = [];
    for (const box of document.querySelectorAll('main *')) {
      if (box.closest('svg, .unseen, select') || !box.checkVisibility() || !probe.isBox(box)) continue;
      const style = getComputedStyle(box);
      const wide = box.scrollWidth > box.clientWidth + 1;
      const high = box.scrollHeight > box.clientHeight + 1;
      const cut = (overflow) => /hidden|clip/.test(overflow);
      const text = box.textContent.trim().slice(0, 40);
      if ((wide && cut(style.overflowX)) || (high && cut(style.overflowY))) found.push(`${text} is cut off`);
      const sideways = wide && probe.scrolls(box) && style.whiteSpace !== 'pre' && !box.querySelector('table, pre');
      if (sideways) found.push(`${text} has to be scrolled sideways`);
    }
    return found;
  },

  chartTexts() {
    const found = [];
    for (const drawing of document.querySelectorAll('.plot svg, .weights-plot svg')) {
      const outer = drawing.getBoundingClientRect();
      const texts = [...drawing.querySelectorAll('text')].map((t) => [t.textContent, t.getBoundingClientRect()]);
      texts.forEach(([text, a], index) => {
        const within = a.left >= outer.left - 1 && a.right <= outer.right + 1 && a.bottom <= outer.bottom + 1;
        if (!within || a.top < outer.top - 1) found.push(`${text} leaves the chart`);
        for (const [other, b] of texts.slice(index + 1)) {
          const across = a.left < b.right - 1 && b.left < a.right - 1;
          if (across && a.top < b.bottom - 3 && b.top < a.bottom - 3) found.push(`${text} and ${other} overlap`);
        }
      });
    }
    return found;
  },

  /** Controls that are too small for a finger. */
  small() {
    const all = [...document.querySelectorAll('button, select, summary')].filter((e) => e.checkVisibility());
    const sizes = all.map((e) => [e.textContent.slice(0, 30), e.getBoundingClientRect()]);
    return sizes
      .filter(([, box]) => box.height < 40 || box.width < 40)
      .map(([text, box]) => `${text} (${Math.round(box.width)} by ${Math.round(box.height)})`);
  },

  /** Opens what can be opened, and names all controls there are. */
  controls() {
    for (const details of document.querySelectorAll('details')) details.open = true;
    document.activeElement.blur();
    const kinds =
      'button, select, input, textarea, summary, a[href], [tabindex], [role=button], [role=slider], [onclick]';
    probe.found = [...document.querySelectorAll(kinds)].filter((element) => element.checkVisibility());
    return probe.found.map((element) => {
      const name = element.getAttribute('aria-label') ?? element.textContent;
      return `${element.tagName.toLowerCase()} ${name.trim().slice(0, 40)}`;
    });
  },

  /** Is it the body that has the focus, which of the controls is it, and does one see it? */
  focus() {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
    return [element === document.body, probe.found.indexOf(element), ring];
  },

  /** All that the reader can choose, and what it leads to. */
  state() {
    const all = (selector) => [...document.querySelectorAll(selector)];
    return {
      panel: all('.overview [aria-pressed=true]').map((button) => button.textContent),
      layer: document.querySelector('.read')?.textContent,
      view: document.querySelector('table.scores')?.dataset.view,
      chosen: all('select').map((select) => select.value),
      legend: all('.legend').map((button) => button.getAttribute('aria-pressed')),
      prompt: all('.token.hidden').length,
      outputs: document.querySelector('.outputs')?.textContent,
    };
  },
};
