// A line chart as SVG: drawn anew at each width, read by mouse, finger and arrow keys, with a table behind it.
// uPlot draws on a canvas, of which no SVG can be taken, and Observable Plot with its D3 is half a megabyte in each page,
// without intervals that are missing, curves that are hidden and values that keys read: these would be written here anyway.

const MAX_READ = 8;  // curves whose values are read at once: those nearest to the pointer
let numCharts = 0;
const MARGIN = { top: 12, right: 14, bottom: 30, left: 52 };

class Chart {
  // spec: { title, note, unit, series: [{ name, steps, y, low, high, color, marks, line, smooth, source }], references }
  // A series that isConverted has the axis's own values for steps; low and high are null where there is no interval.
  // source: { hours, frames_per_agent_step }, that of a series where it has one of its own.
  // range: from where to where of the axis, or null: all; zoom is told another that the user has drawn.
  constructor(parent, spec, source, { height = 220, axis = "steps", smoothing = 2, range = null, zoom = null } = {}) {
    Object.assign(this, { spec, source, height, axis, smoothing, range, hidden: new Set(), isLog: false, cursor: null });
    this.zoom = zoom ?? ((range) => this.set({ range }));
    this.clip = `clip-${numCharts++}`;
    this.figure = make("figure", { class: "chart card", "data-chart": spec.id });
    this.plot = make("div", { class: "plot" });
    this.tooltip = make("div", { class: "tooltip", role: "status", hidden: "" });
    this.legend = make("ul", { class: "legend", "aria-label": "Curves" });
    const caption = make("figcaption", {}, [make("h3", {}, [spec.title]), make("span", { class: "note" }, [spec.note ?? ""])]);
    const isPositive = spec.series.every((series) => series.y.every((value) => value > 0));
    if (isPositive && spec.series.some((series) => series.smooth)) caption.append(this.makeLogButton());
    this.table = this.makeTable();
    this.whole = make("button", { type: "button", class: "whole", hidden: "" }, ["Whole range"]);
    this.whole.addEventListener("click", () => this.zoom(null));
    this.figure.append(caption, this.plot, this.legend, this.makeTools());
    parent.append(this.figure);
    this.makeLegend();
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  makeLogButton() {
    const button = make("button", { type: "button", class: "log", "aria-pressed": "false", "aria-label": "Logarithmic" }, ["log"]);
    button.addEventListener("click", () => {
      this.isLog = !this.isLog;
      button.setAttribute("aria-pressed", this.isLog);
      this.draw();
    });
    return button;
  }

  makeLegend() {
    const several = this.spec.series.filter((series) => series.steps.length > 0);
    if (several.length < 2) return;
    for (const series of several) {
      const swatch = document.createElementNS(SVG, "svg");
      swatch.setAttribute("viewBox", "0 0 22 10");
      drawSwatch(swatch, this.getNumber(series));
      const button = make("button", { type: "button", "aria-pressed": "true" }, [swatch, series.name]);
      button.addEventListener("click", () => {
        if (!this.hidden.delete(series.name)) this.hidden.add(series.name);
        button.setAttribute("aria-pressed", !this.hidden.has(series.name));
        this.draw();
      });
      this.legend.append(make("li", {}, [button]));
    }
  }

  makeTools() {
    const tools = ["CSV", "SVG"].map((kind) => {
      const button = make("button", { type: "button", "aria-label": `Download ${this.spec.title} as ${kind}` }, [kind]);
      button.addEventListener("click", () => (kind === "CSV" ? saveCSV(this) : saveSVG(this)));
      return button;
    });
    return make("div", { class: "below" }, [this.table, this.whole, ...tools]);
  }

  makeTable() {
    const details = make("details", { class: "table" }, [make("summary", {}, ["As a table"])]);
    details.addEventListener("toggle", () => {
      details.querySelector(".scroll")?.remove();
      if (details.open) details.append(this.fillTable());
    });
    return details;
  }

  fillTable() {
    const rows = this.shown.flatMap((series) => series.x.map((x, place) => [series, x, place]));
    const label = AXES[this.axis].label;
    const head = ["Curve", label[0].toUpperCase() + label.slice(1), "Value", "Interval"].map((text) => make("th", { scope: "col" }, [text]));
    const body = rows.map(([series, x, place]) => make("tr", {}, [
      series.name, x.toLocaleString("en"), formatNumber(series.y[place]), this.describeInterval(series, place),
    ].map((text) => make("td", {}, [text]))));
    const table = make("table", {}, [make("thead", {}, [make("tr", {}, head)]), make("tbody", {}, body)]);
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${this.spec.title}, values` }, [table]);
  }

  describeInterval(series, place) {
    return series.low && series.low[place] !== null ? `[${formatNumber(series.low[place])}, ${formatNumber(series.high[place])}]` : "";
  }

  getNumber(series) { return series.color ?? this.spec.series.indexOf(series); }

  // New values of the same curves: what one reads, has hidden or opened stays so.
  update(spec, source) {
    const { cursor } = this;
    Object.assign(this, { spec, source });
    this.draw();
    if (cursor !== null) this.showCursor(cursor);
    if (this.table.open) this.table.querySelector(".scroll").replaceChildren(...this.fillTable().childNodes);
  }

  // Another axis, smoothing or range.
  set(changes) {
    Object.assign(this, changes);
    this.draw();
    if (this.table.open) this.table.querySelector(".scroll").replaceChildren(...this.fillTable().childNodes);
  }

  draw() {
    const width = this.plot.clientWidth;
    if (width === 0) return;
    this.prepare(width);
    const svg = document.createElementNS(SVG, "svg");
    const names = this.shown.map((series) => series.name).join(", ");
    for (const [name, value] of Object.entries({
      viewBox: `0 0 ${width} ${this.height}`, height: this.height, role: "img", tabindex: 0,
      "aria-label": `${this.spec.title} over ${AXES[this.axis].label}: ${names}. Arrow keys read values.`,
    })) svg.setAttribute(name, value);
    this.drawAxes(svg, width);
    for (const reference of this.references) this.drawReference(svg, reference, width);
    const inside = draw(svg, "g", this.range === null ? {} : { "clip-path": `url(#${this.clip})` });
    if (this.range !== null) {
      const clip = draw(draw(svg, "defs"), "clipPath", { id: this.clip });
      draw(clip, "rect", { x: MARGIN.left, y: 0, width: this.inner.width, height: this.height });
    }
    this.whole.hidden = this.range === null;
    const fromBack = [...this.shown].sort((a, b) => this.getNumber(b) - this.getNumber(a));  // gray ones hide no other
    for (const series of fromBack) this.drawSeries(inside, series);
    this.overlay = draw(svg, "g", { "aria-hidden": "true" });
    this.listen(svg);
    const hadFocus = this.plot.contains(document.activeElement);
    this.plot.replaceChildren(svg, this.tooltip);
    if (hadFocus) svg.focus();
    this.hideCursor();
  }

  prepare(width) {
    const axis = AXES[this.axis];
    this.shown = this.spec.series.filter((series) => series.steps.length > 0 && !this.hidden.has(series.name));
    for (const series of this.shown) {
      const source = series.source ?? this.source;
      series.x = series.isConverted ? series.steps : series.steps.map((steps) => axis.convert(steps, source));
    }
    const first = this.range?.[0] ?? 0;
    const last = this.range?.[1] ?? (this.shown.reduce((most, series) => Math.max(most, ...series.x.slice(-1)), 0) || 1);
    const values = this.shown.flatMap((series) => [series.y, series.low ?? [], series.high ?? []].flatMap((numbers) =>
      numbers.filter((number, place) => number !== null && series.x[place] >= first && series.x[place] <= last)));
    let [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
    if (low > high) [low, high] = [this.isLog ? 0.1 : 0, 1];
    const reach = Math.max((high - low) * 0.6, Math.abs(high) * 0.02);
    this.references = (this.spec.references ?? []).filter(({ y }) => y > low - reach && y < high + reach);
    for (const { y } of this.references) [low, high] = [Math.min(low, y), Math.max(high, y)];
    if (this.isLog) [low, high] = [low / 1.15, high * 1.15];
    else {
      const pad = (high - low) * 0.06 || Math.abs(high) * 0.05 || 1;
      const touchesZero = low >= 0 && low < (high - low) * 0.35;
      [low, high] = [touchesZero ? 0 : low - pad, high + pad];
    }
    const inner = { width: width - MARGIN.left - MARGIN.right, height: this.height - MARGIN.top - MARGIN.bottom };
    const scale = this.isLog ? Math.log : (value) => value;
    this.toX = (x) => MARGIN.left + ((x - first) / (last - first)) * inner.width;
    this.toY = (y) => MARGIN.top + inner.height * (1 - (scale(y) - scale(low)) / (scale(high) - scale(low)));
    Object.assign(this, { low, high, first, last, inner });
  }

  drawAxes(svg, width) {
    const bottom = MARGIN.top + this.inner.height;
    const ticks = this.isLog ? findPowers(this.low, this.high) : findTicks(this.low, this.high, this.height / 48);
    for (const tick of ticks) {
      const y = this.toY(tick);
      draw(svg, "line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y });
      draw(svg, "text", { x: MARGIN.left - 8, y: y + 4, "text-anchor": "end" }, formatTick(tick, ticks) + (this.spec.unit ?? ""));
    }
    draw(svg, "line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom });
    const label = AXES[this.axis].label;
    const places = findTicks(this.first, this.last, this.inner.width / 70);
    for (const tick of places) {
      const isEnd = this.toX(tick) > width - 40;
      draw(svg, "text", { x: this.toX(tick), y: bottom + 17, "text-anchor": isEnd ? "end" : "middle" }, formatTick(tick, places));
    }
    draw(svg, "text", { x: width - MARGIN.right, y: bottom + 30, "text-anchor": "end", style: "font-size: 11px" }, label);
  }

  drawReference(svg, { name, y }, width) {
    const place = this.toY(y);
    draw(svg, "line", { class: "reference", x1: MARGIN.left, x2: width - MARGIN.right, y1: place, y2: place });
    const isNear = this.shown.some((series) => series.line !== false && Math.abs(this.toY(series.y[0]) - place) < 24);
    const before = this.references.slice(0, this.references.findIndex((reference) => reference.name === name));
    const aside = 54 * before.filter((other) => Math.abs(this.toY(other.y) - place) < 16).length;  // no label on another
    const where = isNear ? { x: width - MARGIN.right - 4 - aside, "text-anchor": "end" } : { x: MARGIN.left + 6 + aside };
    draw(svg, "text", { ...where, y: place - 5 }, name);
  }

  drawSeries(svg, series) {
    const color = getColor(this.getNumber(series));
    const group = draw(svg, "g", { "data-series": series.name });
    const join = (places, values) => places.map((place, number) =>
      `${number ? "L" : "M"}${this.toX(series.x[place]).toFixed(1)} ${this.toY(values[place]).toFixed(1)}`).join("");
    const path = (values) => join([...series.x.keys()], values);
    const known = series.low ? [...series.x.keys()].filter((place) => series.low[place] !== null) : [];
    if (known.length > 0 && series.line !== false) {
      const d = `${join(known, series.high)}${join([...known].reverse(), series.low).replace("M", "L")}Z`;
      draw(group, "path", { class: "band", d, style: `fill: ${color}` });
    }
    const isSmoothed = series.smooth && Math.floor((series.y.length * this.smoothing) / 100) > 0;
    if (isSmoothed) draw(group, "path", { class: "raw", d: path(series.y), style: `stroke: ${color}` });
    if (series.line !== false) {
      const d = path(isSmoothed ? smooth(series.y, this.smoothing) : series.y);
      draw(group, "path", { class: "curve", d, style: `stroke: ${color}`, "stroke-dasharray": getDash(this.getNumber(series)) });
    }
    const space = this.inner.width / Math.max(series.x.length, 1);
    if (series.marks && space >= 11) this.drawMarks(group, series, color);
    else if (series.x.length === 1) this.drawMarks(group, { ...series, low: null }, color);
  }

  drawMarks(group, series, color) {
    series.x.forEach((x, place) => {
      const [cx, cy] = [this.toX(x), this.toY(series.y[place])];
      if (series.low && series.low[place] !== null) {
        const ends = { y1: this.toY(series.low[place]), y2: this.toY(series.high[place]) };
        draw(group, "line", { class: "whisker", x1: cx, x2: cx, ...ends, style: `stroke: ${color}` });
      }
      const isDiamond = series.line === false;
      draw(group, "path", {
        class: "mark", style: `fill: ${color}`,
        d: isDiamond ? `M${cx} ${cy - 6}l6 6-6 6-6-6z` : `M${cx - 4} ${cy}a4 4 0 1 0 8 0a4 4 0 1 0-8 0`,
      });
    });
  }

  listen(svg) {
    let from = null;  // where the mouse began to draw a range
    const locate = (event) => {
      const { left, top } = svg.getBoundingClientRect();
      const share = (event.clientX - left - MARGIN.left) / this.inner.width;
      return { x: this.first + Math.min(Math.max(share, 0), 1) * (this.last - this.first), y: event.clientY - top };
    };
    svg.addEventListener("pointermove", (event) => {
      const { x, y } = locate(event);
      if (from === null) this.showCursor(x, y);
      else this.showRange(from, x);
    });
    svg.addEventListener("pointerdown", (event) => {
      const { x, y } = locate(event);
      this.showCursor(x, y);
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      from = x;
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const range = [from, locate(event).x].sort((a, b) => a - b);
      from = null;
      if (range[1] - range[0] > (this.last - this.first) / 50) this.zoom(range);
    });
    svg.addEventListener("dblclick", () => this.zoom(null));
    svg.addEventListener("pointerleave", () => this.hideCursor());
    svg.addEventListener("blur", () => this.hideCursor());
    svg.addEventListener("keydown", (event) => this.onKey(event));
  }

  showRange(from, to) {
    const [left, right] = [this.toX(Math.min(from, to)), this.toX(Math.max(from, to))];
    this.overlay.replaceChildren();
    draw(this.overlay, "rect", { class: "range", x: left, width: right - left, y: MARGIN.top, height: this.inner.height });
  }

  onKey(event) {
    const isInside = (x) => x >= this.first && x <= this.last;
    const places = [...new Set(this.shown.flatMap((series) => series.x))].filter(isInside).sort((a, b) => a - b);
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: 10, PageDown: -10 }[event.key];
    if (event.key === "Escape") this.hideCursor();
    if (step === undefined || places.length === 0) return;
    event.preventDefault();
    const now = this.cursor === null ? (step > 0 ? -1 : places.length) : places.indexOf(this.cursor);
    this.showCursor(places[Math.min(Math.max(now + step, 0), places.length - 1)]);
  }

  // The values nearest to x, of many curves of those nearest to the height y: a line, a dot on each curve, and the numbers.
  showCursor(x, y = null) {
    let nearest = this.shown.map((series) => ({ series, place: findNearest(series.x, x) }));
    const away = ({ series, place }) => Math.abs(this.toY(series.y[place]) - (y ?? MARGIN.top));
    const numLeftOut = Math.max(nearest.length - MAX_READ, 0);
    if (numLeftOut > 0) nearest = nearest.sort((a, b) => away(a) - away(b)).slice(0, MAX_READ);
    if (nearest.length === 0) return;
    const distance = ({ series, place }) => Math.abs(series.x[place] - x);
    const closest = nearest.reduce((best, one) => (distance(one) < distance(best) ? one : best));
    const cursor = closest.series.x[closest.place];
    this.cursor = cursor;
    this.overlay.replaceChildren();
    const left = this.toX(cursor);
    draw(this.overlay, "line", { class: "cursor", x1: left, x2: left, y1: MARGIN.top, y2: MARGIN.top + this.inner.height });
    const lines = nearest.map(({ series, place }) => this.describePoint(series, place));
    this.tooltip.replaceChildren(make("b", {}, [`${formatNumber(cursor)} ${AXES[this.axis].label}`]), ...lines);
    if (numLeftOut > 0) this.tooltip.append(make("em", {}, [`and ${numLeftOut} more curves`]));
    this.tooltip.hidden = false;
    const width = this.tooltip.offsetWidth;
    const space = this.plot.clientWidth - width;
    const wanted = left + 14 > space ? left - width - 14 : left + 14;
    this.tooltip.style.transform = `translate(${Math.max(0, Math.min(wanted, space))}px, ${MARGIN.top}px)`;
  }

  describePoint(series, place) {
    const color = getColor(this.getNumber(series));
    const where = { cx: this.toX(series.x[place]), cy: this.toY(series.y[place]) };
    draw(this.overlay, "circle", { class: "mark", r: 5, ...where, style: `fill: ${color}` });
    const text = formatNumber(series.y[place]) + (this.spec.unit ?? "");
    const interval = make("em", {}, [this.describeInterval(series, place)]);
    const name = this.spec.series.length > 1 ? `${series.name} ` : "";
    const line = make("span", {}, [make("i"), make("span", {}, [name, make("strong", {}, [text]), " ", interval])]);
    line.firstChild.style.background = color;
    return line;
  }

  hideCursor() {
    this.cursor = null;
    this.overlay?.replaceChildren();
    this.tooltip.hidden = true;
  }
}
