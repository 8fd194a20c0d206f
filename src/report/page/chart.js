// The chart of one panel, the readout beside it, and the small charts to choose a panel by.

// Colours of Okabe and Ito (page.css has them for light and dark), each with a marker and dashes of its own.
const DASHES = ['', '8 3', '2 3', '9 3 2 3', '5 2 1 2 1 2', '14 4', '1 4'];
const MARKERS = [
  'M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z',
  'M-3.7,-3.7h7.4v7.4h-7.4z',
  'M0,-4.8L4.6,3.5H-4.6z',
  'M0,-5.2L5.2,0L0,5.2L-5.2,0z',
  'M0,4.8L4.6,-3.5H-4.6z',
  'M-4.6,-1.6h3v-3h3.2v3h3v3.2h-3v3h-3.2v-3h-3z',
  'M0,-5L4.8,-1.5L2.9,4H-2.9L-4.8,-1.5z',
];

function styleOf(index) {
  const n = MARKERS.length;
  return {
    colour: `var(--curve-${index % n})`,
    marker: MARKERS[index % n],
    dash: DASHES[(index + Math.floor(index / n)) % n],
  };
}

function bandOf(point) {
  return point.both || point.items;
}

/** What a score is called in running text. */
function scoreName(panel) {
  return ['BLEU', 'chrF', 'chrF++'].includes(panel.metric) ? `${panel.metric} score` : panel.metric;
}

function highest(panel) {
  const values = panel.curves
    .flatMap((curve) => [...curve.points, ...(curve.baseline ? [curve.baseline] : [])])
    .flatMap((point) => [point.score, ...(bandOf(point) || [])]);
  return Math.max(...values, 0);
}

/** Round steps from 0 that reach `top`. */
function ticks(top, about) {
  if (!(top > 0)) return [0, 1];
  const rough = top / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999);
  return Array.from({ length: Math.ceil(top / step - 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}

/** From layers and scores to the box of a drawing. */
function scales(panel, box, top) {
  const inset = Math.min(14, (box.right - box.left) / 20);
  const last = Math.max(panel.n_layers - 1, ...panel.curves.flatMap((c) => c.points.map((p) => p.layer)), 0);
  const width = box.right - box.left - 2 * inset;
  return {
    last,
    step: last ? width / last : width,
    x: (layer) => (last ? box.left + inset + (width * layer) / last : (box.left + box.right) / 2),
    y: (score) => box.bottom - ((box.bottom - box.top) * score) / top,
  };
}

const at = (number) => number.toFixed(1);

function linePath(points, scale) {
  return points.map((p, i) => `${i ? 'L' : 'M'}${at(scale.x(p.layer))},${at(scale.y(p.score))}`).join('');
}

/** A band for points that follow each other, a bar for one that stands alone. */
function bandShapes(points, scale, colour) {
  const groups = [[]];
  for (const point of points) {
    if (bandOf(point)) groups[groups.length - 1].push(point);
    else groups.push([]);
  }
  return groups
    .filter((group) => group.length)
    .map((group) => {
      const edge = (side) => group.map((p) => `${at(scale.x(p.layer))},${at(scale.y(bandOf(p)[side]))}`);
      if (group.length === 1) return svg('path', { class: 'bar', stroke: colour, d: `M${edge(0)}L${edge(1)}` });
      return svg('path', { class: 'band', fill: colour, d: `M${[...edge(1), ...edge(0).reverse()].join('L')}z` });
    });
}

/** Curves that share a baseline share its line. */
function baselines(panel, off) {
  const lines = new Map();
  panel.curves.forEach((curve, index) => {
    if (!curve.baseline || off.has(index)) return;
    const line = lines.get(curve.baseline.score) || { score: curve.baseline.score, curves: [] };
    line.curves.push(index);
    lines.set(line.score, line);
  });
  const found = [...lines.values()].sort((a, b) => b.score - a.score);
  return found.map((line) => ({
    ...line,
    colour: found.length === 1 || line.curves.length > 1 ? 'var(--ink)' : styleOf(line.curves[0]).colour,
  }));
}

function swatch(index) {
  const { colour, marker, dash } = styleOf(index);
  return svg(
    'svg',
    { class: 'swatch', viewBox: '0 0 34 14', width: 34, height: 14, 'aria-hidden': 'true' },
    svg('path', { class: 'line', d: 'M1,7H33', stroke: colour, 'stroke-dasharray': dash }),
    svg('path', { class: 'marker', d: marker, fill: colour, transform: 'translate(17 7)' }),
  );
}

function smallChart(panel, top) {
  const scale = scales(panel, { left: 1, right: 199, top: 6, bottom: 78 }, top);
  const lines = baselines(panel, new Set()).map((line) =>
    svg('path', { class: 'baseline', stroke: line.colour, d: `M1,${at(scale.y(line.score))}H199` }),
  );
  const curves = panel.curves.map((curve, index) => [
    bandShapes(curve.points, scale, styleOf(index).colour),
    curve.points.length === 1
      ? svg('path', {
          d: styleOf(index).marker,
          fill: styleOf(index).colour,
          transform: `translate(${at(scale.x(curve.points[0].layer))} ${at(scale.y(curve.points[0].score))})`,
        })
      : svg('path', {
          class: 'line',
          stroke: styleOf(index).colour,
          'stroke-dasharray': styleOf(index).dash,
          d: linePath(curve.points, scale),
        }),
  ]);
  return svg(
    'svg',
    { viewBox: '0 0 200 80', 'aria-hidden': 'true', class: 'small' },
    svg('path', { class: 'axis', d: 'M1,2V78H199' }),
    lines,
    curves.flat(2),
  );
}

/** The large chart, at the size that its place has. `choose` is told the layer that is pointed at. */
class Chart {
  constructor(panel, off, choose) {
    Object.assign(this, { panel, off, choose });
    this.layers = [...new Set(panel.curves.flatMap((c) => c.points.map((p) => p.layer)))].sort((a, b) => a - b);
    this.layer = this.layers[0] ?? null;
    this.drawing = svg('svg', { 'aria-hidden': 'true' });
    this.element = make(
      'div',
      {
        class: 'plot',
        tabindex: '0',
        role: 'slider',
        'aria-label': 'Layer read off the chart',
        'aria-orientation': 'horizontal',
        'aria-valuemin': this.layers[0] ?? 0,
        'aria-valuemax': this.layers[this.layers.length - 1] ?? 0,
        keydown: (event) => this.key(event),
        pointermove: (event) => this.point(event),
        pointerdown: (event) => this.point(event),
      },
      this.drawing,
    );
    this.size = new ResizeObserver(() => this.draw());
    this.size.observe(this.element);
  }

  draw() {
    const width = Math.round(this.element.clientWidth);
    if (!width || !this.layers.length) return;
    const height = width < 560 ? 300 : Math.min(440, Math.round(width * 0.56));
    const marks = ticks(highest(this.panel) * 1.02, height < 350 ? 5 : 7);
    const decimals = Math.max(...marks.map((mark) => (String(mark).split('.')[1] || '').length));
    const longest = Math.max(...marks.map((mark) => mark.toFixed(decimals).length));
    this.box = { left: 14 + 8 * longest, right: width - 4, top: 30, bottom: height - 44 };
    this.scale = scales(this.panel, this.box, marks[marks.length - 1]);
    this.cursor = svg('g', { class: 'cursor' });
    this.drawing.replaceChildren(...this.axes(marks, decimals), ...this.curves(), this.cursor, ...this.baselineLines());
    fill(this.drawing, { width, height, viewBox: `0 0 ${width} ${height}` }, []);
    this.move();
  }

  axes(marks, decimals) {
    const { box, scale, panel } = this;
    const every = [1, 2, 5, 10, 20, 50, 100].find((n) => n * scale.step >= 24) || 200;
    const layers = Array.from({ length: scale.last + 1 }, (_, i) => i).filter((layer) => layer % every === 0);
    return [
      marks.map((mark) =>
        svg('path', { class: mark ? 'grid' : 'axis', d: `M${box.left},${at(scale.y(mark))}H${box.right}` }),
      ),
      marks.map((mark) =>
        svg(
          'text',
          {
            class: 'tick y',
            'data-mark': mark,
            x: box.left - 8,
            y: at(scale.y(mark)),
            dy: '0.32em',
            'text-anchor': 'end',
          },
          mark.toFixed(decimals),
        ),
      ),
      layers.map((layer) => svg('path', { class: 'axis', d: `M${at(scale.x(layer))},${box.bottom}v4` })),
      layers.map((layer) =>
        svg('text', { class: 'tick x', x: at(scale.x(layer)), y: box.bottom + 18, 'text-anchor': 'middle' }, layer),
      ),
      svg('text', { class: 'title', x: 2, y: 14 }, panel.metric),
      svg(
        'text',
        { class: 'title', x: at((box.left + box.right) / 2), y: box.bottom + 38, 'text-anchor': 'middle' },
        axisName(panel),
      ),
    ].flat();
  }

  curves() {
    const shown = this.panel.curves
      .map((curve, index) => ({ curve, index, ...styleOf(index) }))
      .filter(({ index }) => !this.off.has(index));
    // Where layers are many, markers of full size would hide the line.
    const size = this.scale.step < 9 ? ' scale(0.6)' : '';
    const place = (point) => `translate(${at(this.scale.x(point.layer))} ${at(this.scale.y(point.score))})${size}`;
    return [
      ...shown.flatMap(({ curve, colour }) => bandShapes(curve.points, this.scale, colour)),
      ...shown.map(({ curve, colour, dash }) =>
        svg('path', { class: 'line', stroke: colour, 'stroke-dasharray': dash, d: linePath(curve.points, this.scale) }),
      ),
      ...shown.flatMap(({ curve, colour }) =>
        curve.points.flatMap((point) =>
          point.seeds.length < 2
            ? []
            : point.seeds.map((seed) =>
                svg('circle', {
                  class: 'seed',
                  r: 1.6,
                  fill: colour,
                  cx: at(this.scale.x(point.layer)),
                  cy: at(this.scale.y(seed.score)),
                }),
              ),
        ),
      ),
      ...shown.flatMap(({ curve, index, colour, marker }) =>
        curve.points.map((point) =>
          svg('path', {
            class: 'marker',
            d: marker,
            fill: colour,
            transform: place(point),
            'data-curve': index,
            'data-layer': point.layer,
          }),
        ),
      ),
    ];
  }

  baselineLines() {
    let above = -Infinity;
    return baselines(this.panel, this.off).flatMap(({ score, colour }) => {
      const y = this.scale.y(score);
      const line = svg('path', {
        class: 'baseline',
        stroke: colour,
        'data-score': score,
        d: `M${this.box.left},${at(y)}H${this.box.right}`,
      });
      // Two labels that would touch: the line of the lower one stays without.
      if (y - above < 16) return [line];
      above = y;
      return [
        line,
        svg(
          'text',
          { class: 'note', x: this.box.left + 6, y: at(y - 5), fill: colour },
          `baseline ${fixed(score, this.panel.digits)}`,
        ),
      ];
    });
  }

  /** Sets the layer that is read off; one without results goes to the nearest that has some. */
  set(layer) {
    this.layer = this.layers.reduce(
      (best, l) => (Math.abs(l - layer) < Math.abs(best - layer) ? l : best),
      this.layers[0] ?? null,
    );
    this.move();
  }

  move() {
    if (this.layer === null) return;
    this.element.setAttribute('aria-valuenow', this.layer);
    this.element.setAttribute('aria-valuetext', `layer ${this.layer}`);
    if (!this.cursor) return;
    const x = at(this.scale.x(this.layer));
    const rings = this.panel.curves.flatMap((curve, index) =>
      this.off.has(index)
        ? []
        : curve.points
            .filter((p) => p.layer === this.layer)
            .map((p) => svg('circle', { r: 8, cx: x, cy: at(this.scale.y(p.score)), stroke: styleOf(index).colour })),
    );
    this.cursor.replaceChildren(svg('path', { d: `M${x},${this.box.top - 8}V${this.box.bottom}` }), ...rings);
  }

  point(event) {
    if (!this.scale || !this.layers.length) return;
    const x = event.clientX - this.drawing.getBoundingClientRect().left;
    const off = (layer) => Math.abs(this.scale.x(layer) - x);
    const nearest = this.layers.reduce((best, layer) => (off(layer) < off(best) ? layer : best));
    if (nearest !== this.layer) this.choose(nearest);
  }

  key(event) {
    const now = this.layers.indexOf(this.layer);
    const last = this.layers.length - 1;
    const to = {
      ArrowLeft: now - 1,
      ArrowDown: now - 1,
      ArrowRight: now + 1,
      ArrowUp: now + 1,
      PageUp: now + 5,
      PageDown: now - 5,
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey || last < 0) return;
    event.preventDefault();
    this.choose(this.layers[Math.max(0, Math.min(last, to))]);
  }
}

/** An ablation hides nothing: one layer has no attention. */
function isAblation(curve) {
  return curve.mask === 'ablate-attention';
}

/** What the layers of a panel's curves, all of one kind, do. */
function axisName(panel) {
  const names = { 'ablate-attention': 'layer without attention', lora: 'layer with an adapter' };
  return names[panel.curves[0]?.mask] ?? 'hidden from layer';
}
