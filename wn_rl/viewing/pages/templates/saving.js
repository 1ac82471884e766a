// What a page shows, as files: numbers as CSV, a chart as SVG.

function download(name, type, content) {
  const link = make("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Text that a spreadsheet would take for a formula is marked as text.
function writeCSV(rows) {
  const write = (value) => {
    const text = typeof value === "string" ? value.replace(/^[=+@\t\r-]/, "'$&") : String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(write).join(",")).join("\r\n") + "\r\n";
}

function nameFile(title, ending) { return `${title.replace(/[^\p{L}\p{N}]+/gu, "_").slice(0, 80)}.${ending}`; }

function saveCSV(chart) {
  const head = ["curve", AXES[chart.axis].label, "value", "interval_low", "interval_high"];
  const rows = chart.shown.flatMap((series) => series.x.map((x, place) =>
    [series.name, x, series.y[place], series.low?.[place], series.high?.[place]]));
  download(nameFile(chart.spec.title, "csv"), "text/csv", writeCSV([head, ...rows]));
}

// As it is drawn now, with its colors written out, its title above and its legend below.
function saveSVG(chart) {
  const drawn = chart.plot.querySelector("svg");
  const copy = drawn.cloneNode(true);
  const originals = [drawn, ...drawn.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((element, place) => {
    const style = getComputedStyle(originals[place]);
    const names = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family", "text-anchor"];
    element.setAttribute("style", names.map((name) => `${name}: ${style.getPropertyValue(name)}`).join("; "));
  });
  const [width, text] = [chart.plot.clientWidth, getComputedStyle(chart.figure)];
  const write = (content, x, y) => draw(copy, "text", { x, y, style: `font: 13px ${text.fontFamily}; fill: ${text.color}` }, content);
  write(chart.spec.title, MARGIN.left, -10);
  chart.shown.forEach((series, place) => {
    const y = chart.height + 16 + 20 * place;
    const stroke = getComputedStyle(document.documentElement).getPropertyValue(getColor(chart.getNumber(series)).slice(4, -1));
    const line = { x1: MARGIN.left, x2: MARGIN.left + 22, y1: y - 4, y2: y - 4, stroke, "stroke-width": 3 };
    draw(copy, "line", { ...line, "stroke-dasharray": getDash(chart.getNumber(series)) });
    write(series.name, MARGIN.left + 30, y);
  });
  const height = chart.height + 50 + 20 * chart.shown.length;
  for (const [name, value] of Object.entries({ xmlns: SVG, width, height, viewBox: `0 -30 ${width} ${height}` })) {
    copy.setAttribute(name, value);
  }
  const ground = { x: 0, y: -30, width, height, fill: text.backgroundColor };
  copy.prepend(draw(copy, "rect", ground));
  download(nameFile(chart.spec.title, "svg"), "image/svg+xml", new XMLSerializer().serializeToString(copy));
}
