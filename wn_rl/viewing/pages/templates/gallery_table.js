// The table of all runs: filtered, sorted, with the columns that one has chosen.

const NAME = "name";

// Words that all occur in a run's row, or comparisons with a setting: normalizer=none, learning_rate<0.001.
function matches(data, run, words) {
  return words.every((word) => {
    const [, key, sign, wanted] = word.match(/^([\w.]+)([=<>])(.*)$/) ?? [];
    const settings = sign ? data.settings.filter((one) => one.key.toLowerCase() === key || one.key.toLowerCase().endsWith(`.${key}`)) : [];
    if (key !== "game" && settings.length === 0) return run.text.includes(word);
    return (key === "game" ? ["game"] : settings.map((one) => one.key)).some((name) => {
      const value = getSetting(data, run, name).replaceAll("_", "");
      if (sign === "=") return getSetting(data, run, name).toLowerCase() === wanted;
      return sign === "<" ? Number(value) < Number(wanted) : Number(value) > Number(wanted);
    });
  });
}

// Of a run's row: what it is sorted by, its text, and a note below.
function getCell(data, run, column) {
  if (column === NAME) return [run.name, run.name, ""];
  const place = data.columns.findIndex(([key]) => key === column);
  if (place >= 0) return run.cells[place];
  const text = getSetting(data, run, column);
  const number = Number(text.replaceAll("_", ""));
  return [text === "–" ? null : Number.isFinite(number) ? number : text, text, ""];
}

// Numbers by size, names by letters, what is missing last either way.
function sortRuns(data, runs, [column, isFalling]) {
  const sign = isFalling ? -1 : 1;
  const keyed = runs.map((run) => ({ run, value: getCell(data, run, column)[0] }));
  keyed.sort((a, b) => {
    if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
    if (typeof a.value === "number" && typeof b.value === "number") return sign * (a.value - b.value);
    return sign * String(a.value).localeCompare(String(b.value), "en", { numeric: true });
  });
  return keyed.map(({ run }) => run);
}

function isText(data, column) {
  return [NAME, "game", "normalizer"].includes(column) || data.runs.some((run) => typeof getCell(data, run, column)[0] === "string");
}

// On a phone the game is told below the name.
function getClass(column, isText) { return [isText ? "text" : "", column === "game" ? "wide-only" : ""].filter(Boolean).join(" "); }

function makeHead(data, columns, [sorted, isFalling]) {
  const titles = new Map([[NAME, "Run"], ...data.columns.map(([key, title]) => [key, title])]);
  const cells = [NAME, ...columns].map((column) => {
    const button = make("button", { type: "button" }, [titles.get(column) ?? column]);
    const cell = make("th", { scope: "col", "data-column": column, class: getClass(column, isText(data, column)) }, [button]);
    if (column === sorted) cell.setAttribute("aria-sort", isFalling ? "descending" : "ascending");
    return cell;
  });
  const show = make("th", { scope: "col", class: "text" }, [make("span", { class: "note" }, ["Show"])]);
  return make("tr", {}, [show, ...cells]);
}

function makeNameCell(run) {
  const short = run.name.split("/").at(-1);
  const picture = run.poster ? make("img", { class: "thumb", src: run.poster, alt: "", loading: "lazy" }) : make("i", { class: "thumb" });
  const link = run.url ? make("a", { href: run.url }, [short]) : make("b", {}, [short]);
  const about = make("small", {}, [make("span", { class: "narrow-only" }, [`${run.game}, `]), run.about]);
  const problems = run.problems.map((problem) => make("small", { class: "problem" }, [problem]));
  return make("td", { class: "text name" }, [make("div", { class: "run" }, [picture, make("span", {}, [link, about, ...problems])])]);
}

function makeRow(data, run, columns, color) {
  const box = make("input", { type: "checkbox", "aria-label": `Show ${run.name}` });
  const swatch = document.createElementNS(SVG, "svg");
  for (const [name, value] of [["class", "swatch"], ["viewBox", "0 0 22 10"], ["aria-hidden", "true"]]) swatch.setAttribute(name, value);
  box.checked = color !== undefined;
  if (box.checked) drawSwatch(swatch, color);
  const cells = columns.map((column) => {
    const [value, text, note] = getCell(data, run, column);
    const cell = make("td", { "data-value": value ?? "", class: getClass(column, typeof value === "string") }, [text]);
    if (note) cell.append(make("br"), make("span", { class: "note" }, [note]));
    return cell;
  });
  const first = make("td", { class: "text" }, [make("label", { class: "pick" }, [box, swatch])]);
  return make("tr", { "data-name": run.name }, [first, makeNameCell(run), ...cells]);
}

// Settings in which the ticked runs differ, a column for each run; marked: unlike most, or, of equally many, unlike the first.
function makeDifferences(data, runs) {
  const rows = data.settings.map(({ key }) => ({ key, values: runs.map((run) => getSetting(data, run, key)) }))
    .filter(({ values }) => new Set(values).size > 1);
  return rows.map(({ key, values }) => {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    const [usual] = [...counts].reduce((best, one) => (one[1] > best[1] ? one : best));
    const cells = values.map((value) => make("td", { class: value === usual ? "text" : "text unusual" }, [value]));
    return make("tr", {}, [make("th", { scope: "row", class: "text sticky" }, [key]), ...cells]);
  });
}
