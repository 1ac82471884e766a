// A line chart as SVG: drawn anew at each width, read by mouse, finger and arrow keys, with a table behind it.
// A library for this is larger than all of a page's data; these are the few things that a page needs.

const MARGIN = { top: 12, right: 14, bottom: 30, left: 52 };

class Chart {
  // spec: { title, note, unit, series: [{ name, steps, y, low, high, color, marks, line, smooth, source }], references }
  // source: { hours, frames_per_agent_step }, that of a series where it has one of its own.
  constructor(parent, spec, source, { height = 220, axis = "steps" } = {}) {
    Object.assign(this, { spec, source, height, axis, hidden: new Set(), isLog: false, cursor: null });
    this.figure = make("figure", { class: "chart card", "data-chart": spec.id });
    this.plot = make("div", { class: "plot" });
    this.tooltip = make("div", { class: "tooltip", role: "status", hidden: "" });
    this.legend = make("ul", { class: "legend", "aria-label": "Curves" });
    const caption = make("figcaption", {}, [make("h3", {}, [spec.title]), make("span", { class: "note" }, [spec.note ?? ""])]);
    const isPositive = spec.series.every((series) => series.y.every((value) => value > 0));
    if (isPositive && spec.series.some((series) => series.smooth)) caption.append(this.makeLogButton());
    this.table = this.makeTable();
    this.figure.append(caption, this.plot, this.legend, this.table);
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

  makeTable() {
    const details = make("details", { class: "table" }, [make("summary", {}, ["As a table"])]);
    details.addEventListener("toggle", () => {
      details.querySelector(".scroll")?.remove();
      if (details.open) details.append(this.fillTable());
    });
    return details;
  }

  fillTable() {
    const rows = this.spec.series.flatMap((series) => series.steps.map((steps, place) => [series, steps, place]));
    const head = ["Curve", "Agent steps", "Value", "Interval"].map((text) => make("th", { scope: "col" }, [text]));
    const body = rows.map(([series, steps, place]) => make("tr", {}, [
      series.name, steps.toLocaleString("en"), formatNumber(series.y[place]), this.describeInterval(series, place),
    ].map((text) => make("td", {}, [text]))));
    const table = make("table", {}, [make("thead", {}, [make("tr", {}, head)]), make("tbody", {}, body)]);
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${this.spec.title}, values` }, [table]);
  }

  describeInterval(series, place) {
    return series.low ? `[${formatNumber(series.low[place])}, ${formatNumber(series.high[place])}]` : "";
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

  setAxis(axis) {
    this.axis = axis;
    this.draw();
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
    for (const series of this.shown) this.drawSeries(svg, series);
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
      series.x = series.steps.map((steps) => axis.convert(steps, source));
    }
    const values = this.shown.flatMap((series) => [...series.y, ...(series.low ?? []), ...(series.high ?? [])]);
    let [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
    if (low > high) [low, high] = [0, 1];
    const reach = Math.max((high - low) * 0.6, Math.abs(high) * 0.02);
    this.references = (this.spec.references ?? []).filter(({ y }) => y > low - reach && y < high + reach);
    for (const { y } of this.references) [low, high] = [Math.min(low, y), Math.max(high, y)];
    if (this.isLog) [low, high] = [low / 1.15, high * 1.15];
    else {
      const pad = (high - low) * 0.06 || Math.abs(high) * 0.05 || 1;
      const touchesZero = low >= 0 && low < (high - low) * 0.35;
      [low, high] = [touchesZero ? 0 : low - pad, high + pad];
    }
    const last = this.shown.reduce((most, series) => Math.max(most, ...series.x.slice(-1)), 0) || 1;
    const inner = { width: width - MARGIN.left - MARGIN.right, height: this.height - MARGIN.top - MARGIN.bottom };
    const scale = this.isLog ? Math.log : (value) => value;
    this.toX = (x) => MARGIN.left + (x / last) * inner.width;
    this.toY = (y) => MARGIN.top + inner.height * (1 - (scale(y) - scale(low)) / (scale(high) - scale(low)));
    Object.assign(this, { low, high, last, inner });
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
    const places = findTicks(0, this.last, this.inner.width / 70);
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
    const where = isNear ? { x: width - MARGIN.right - 4, "text-anchor": "end" } : { x: MARGIN.left + 6 };
    draw(svg, "text", { ...where, y: place - 5 }, name);
  }

  drawSeries(svg, series) {
    const color = getColor(this.getNumber(series));
    const group = draw(svg, "g", { "data-series": series.name });
    const path = (values) => series.x.map((x, place) =>
      `${place ? "L" : "M"}${this.toX(x).toFixed(1)} ${this.toY(values[place]).toFixed(1)}`).join("");
    if (series.low && series.line !== false) {
      const back = [...series.x.keys()].reverse().map((place) =>
        `L${this.toX(series.x[place]).toFixed(1)} ${this.toY(series.low[place]).toFixed(1)}`).join("");
      draw(group, "path", { class: "band", d: `${path(series.high)}${back}Z`, style: `fill: ${color}` });
    }
    const isSmoothed = series.smooth && series.y.length > 100;
    if (isSmoothed) draw(group, "path", { class: "raw", d: path(series.y), style: `stroke: ${color}` });
    if (series.line !== false) {
      const d = path(isSmoothed ? smooth(series.y) : series.y);
      draw(group, "path", { class: "curve", d, style: `stroke: ${color}`, "stroke-dasharray": getDash(this.getNumber(series)) });
    }
    const space = this.inner.width / Math.max(series.x.length, 1);
    if (series.marks && space >= 11) this.drawMarks(group, series, color);
    else if (series.x.length === 1) this.drawMarks(group, { ...series, low: null }, color);
  }

  drawMarks(group, series, color) {
    series.x.forEach((x, place) => {
      const [cx, cy] = [this.toX(x), this.toY(series.y[place])];
      if (series.low) {
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
    const point = (event) => {
      const x = event.clientX - svg.getBoundingClientRect().left;
      this.showCursor(((x - MARGIN.left) / this.inner.width) * this.last);
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    svg.addEventListener("pointerleave", () => this.hideCursor());
    svg.addEventListener("blur", () => this.hideCursor());
    svg.addEventListener("keydown", (event) => this.onKey(event));
  }

  onKey(event) {
    const places = [...new Set(this.shown.flatMap((series) => series.x))].sort((a, b) => a - b);
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: 10, PageDown: -10 }[event.key];
    if (event.key === "Escape") this.hideCursor();
    if (step === undefined || places.length === 0) return;
    event.preventDefault();
    const now = this.cursor === null ? (step > 0 ? -1 : places.length) : places.indexOf(this.cursor);
    this.showCursor(places[Math.min(Math.max(now + step, 0), places.length - 1)]);
  }

  // The values nearest to x: a line, a dot on each curve, and the numbers.
  showCursor(x) {
    const nearest = this.shown.map((series) => ({ series, place: findNearest(series.x, x) }));
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
