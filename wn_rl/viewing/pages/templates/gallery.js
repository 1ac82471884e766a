// The page of many runs: what one has chosen is in its address, so that a link leads to it.
(() => {
  const FIRST_TICKED = 6, MAX_DIFFERENCES = 40;
  const byId = (id) => document.getElementById(id);
  let data = prepare(readData(document));
  let charts = [];
  const state = {
    picked: new Map(),  // name of a ticked run -> number of its color
    columns: data.columns.filter(([, , isShown]) => isShown).map(([key]) => key),
    sort: ["changed", true], curve: "evaluation", axis: "steps", group: NO_GROUPS, filter: "", smoothing: 2, range: null,
  };

  function prepare(fresh) {
    fresh.runs.forEach((run, number) => {
      run.number = number;
      run.text = [run.name, run.about, ...run.problems, ...run.cells.map(([, text]) => text)].join(" ").toLowerCase();
    });
    return fresh;
  }

  function pick(name, isPicked) {
    if (!isPicked) state.picked.delete(name);
    else if (!state.picked.has(name)) {
      const taken = new Set(state.picked.values());
      let number = 0;
      while (taken.has(number)) number++;
      state.picked.set(name, number);
    }
  }

  const getPicked = () => data.runs.filter((run) => state.picked.has(run.name));
  function getShown() {
    const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
    return sortRuns(data, data.runs.filter((run) => matches(data, run, words)), state.sort);
  }

  function getGroups() {
    const groups = groupRuns(data, getPicked(), state.group);
    return groups.map((group, place) => ({ ...group, color: state.group === NO_GROUPS ? state.picked.get(group.name) : place }));
  }

  function showTable(groups) {
    const focused = document.activeElement.closest?.("#rows tr")?.dataset.name;
    const colors = new Map(groups.flatMap(({ runs, color }) => runs.map((run) => [run.name, color])));
    const shown = getShown();
    byId("head").replaceChildren(makeHead(data, state.columns, state.sort));
    byId("rows").replaceChildren(...shown.map((run) => makeRow(data, run, state.columns, colors.get(run.name))));
    if (focused !== undefined) [...byId("rows").children].find((row) => row.dataset.name === focused)?.querySelector("input").focus();
    byId("found").textContent = shown.length < data.runs.length ? `${shown.length} of ${data.runs.length} runs` : "";
  }

  function showCurves(groups) {
    const specs = makeSpecs(data, groups, state);
    byId("no-curves").hidden = specs.length > 0;
    const describe = (spec) => [spec.id, spec.title, spec.note, ...spec.series.map((one) => `${one.name} ${one.color}`)].join();
    if (specs.length === charts.length && specs.every((spec, place) => describe(spec) === describe(charts[place].spec))) {
      charts.forEach((chart, place) => {
        Object.assign(chart, { axis: state.axis, smoothing: state.smoothing, range: state.range });
        chart.update(specs[place], null);  // its buttons stay as they are
      });
      return;
    }
    byId("overlay").replaceChildren();
    const options = { height: specs.length > 1 ? 240 : 380, axis: state.axis, smoothing: state.smoothing, range: state.range };
    charts = specs.map((spec) => new Chart(byId("overlay"), spec, null, { ...options, zoom: (range) => change({ range }) }));
    for (const chart of charts) chart.figure.classList.toggle("wide", specs.length === 1);
  }

  function showDifferences() {
    const runs = getPicked().slice(0, MAX_DIFFERENCES);
    const rows = makeDifferences(data, runs);
    const heads = runs.map((run) => make("th", { scope: "col", class: "text" }, [run.name]));
    const head = make("tr", {}, [make("th", { scope: "col", class: "text sticky" }, ["Setting"]), ...heads]);
    byId("differences-table").tHead.replaceChildren(head);
    byId("differences-table").tBodies[0].replaceChildren(...rows);
    byId("differences-table").hidden = rows.length === 0;
    byId("no-differences").hidden = rows.length > 0;
  }

  // The choices that the data offer: games, curves, settings to group by and to show.
  function showChoices() {
    const fill = (select, options) => {
      const fresh = options.map(([value, text]) => make("option", { value }, [text]));
      if (select.innerHTML !== make("select", {}, fresh.map((one) => one.cloneNode(true))).innerHTML) select.replaceChildren(...fresh);
    };
    const keys = data.settings.map(({ key }) => key).sort();
    const hasGames = new Set(data.runs.map((run) => run.game)).size > 1;
    fill(byId("curve"), [...Object.entries(FIRST_CURVES), ...Object.entries(data.metrics)]);
    const others = keys.filter((key) => key !== "game").map((key) => [key, key]);
    fill(byId("group"), [[NO_GROUPS, "Each run alone"], [ALL_BUT_SEED, "All settings but the seed"], ...(hasGames ? [["game", "game"]] : []), ...others]);
    const columns = [...data.columns.map(([key, title]) => [key, title]), ...keys.filter((key) => !data.columns.some(([known]) => known === key)).map((key) => [key, key])];
    if (byId("columns").children.length !== columns.length) {
      byId("columns").replaceChildren(...columns.map(([key, title]) =>
        make("label", {}, [make("input", { type: "checkbox", value: key }), title])));
    }
    for (const box of byId("columns").querySelectorAll("input")) box.checked = state.columns.includes(box.value);
    for (const key of ["curve", "group", "smoothing", "filter"]) if (byId(key).value !== String(state[key])) byId(key).value = state[key];
    for (const button of document.querySelectorAll("#axis button")) button.setAttribute("aria-pressed", button.dataset.axis === state.axis);
  }

  function show() {
    const groups = getGroups();
    showChoices();
    showTable(groups);
    showCurves(groups);
    showDifferences();
  }

  function change(changes) {
    Object.assign(state, changes);
    show();
    history.replaceState(null, "", `#${writeHash()}`);
  }

  function writeHash() {
    const words = new URLSearchParams();
    for (const key of ["curve", "axis", "group", "filter", "smoothing"]) words.set(key, state[key]);
    words.set("sort", `${state.sort[1] ? "-" : ""}${state.sort[0]}`);
    for (const column of state.columns.length > 0 ? state.columns : [""]) words.append("column", column);
    if (state.range) words.set("range", state.range.map((x) => +x.toPrecision(6)).join("~"));
    for (const [name, number] of state.picked) words.append("run", `${number}~${name}`);
    return words;
  }

  // What a link says; whatever it names that is not there is left out.
  function readHash() {
    const words = new URLSearchParams(location.hash.slice(1));
    if (!words.has("curve")) return false;
    const names = new Set(data.runs.map((run) => run.name));
    const isColumn = (key) => data.columns.some(([known]) => known === key) || data.settings.some((one) => one.key === key);
    const known = { curve: [...Object.keys(FIRST_CURVES), ...Object.keys(data.metrics)], axis: Object.keys(AXES), smoothing: ["0", "2", "8"],
      group: [NO_GROUPS, ALL_BUT_SEED, "game", ...data.settings.map(({ key }) => key)] };
    for (const [key, values] of Object.entries(known)) if (values.includes(words.get(key))) state[key] = words.get(key);
    state.smoothing = Number(state.smoothing);
    state.filter = words.get("filter") ?? "";
    const [, sign, column] = (words.get("sort") ?? "").match(/^(-?)(.+)$/) ?? [];
    if (column === NAME || isColumn(column)) state.sort = [column, sign === "-"];
    if (words.has("column")) state.columns = words.getAll("column").filter(isColumn);
    const range = (words.get("range") ?? "").split("~").map(Number);
    state.range = range.length === 2 && range[0] < range[1] ? range : null;
    state.picked = new Map(words.getAll("run").map((word) => [word.slice(word.indexOf("~") + 1), parseInt(word, 10)])
      .filter(([name, number]) => names.has(name) && number >= 0));
    return true;
  }

  // At first: the newest runs of the game that was trained last.
  function pickNewest() {
    const measured = data.runs.filter((run) => run.evaluation.steps.length > 0 || Object.keys(run.curves).length > 0);
    for (const run of measured.filter((one) => one.game === measured[0].game).slice(0, FIRST_TICKED)) pick(run.name, true);
  }

  byId("head").addEventListener("click", (event) => {
    const column = event.target.closest("button")?.closest("th").dataset.column;
    if (column === undefined) return;
    const [sorted, isFalling] = state.sort;
    change({ sort: [column, sorted === column ? !isFalling : !isText(data, column)] });  // the best first
  });
  byId("rows").addEventListener("change", (event) => {
    pick(event.target.closest("tr").dataset.name, event.target.checked);
    change({});
  });
  byId("columns").addEventListener("change", () => {
    change({ columns: [...byId("columns").querySelectorAll("input:checked")].map((box) => box.value) });
  });
  for (const key of ["curve", "group"]) byId(key).addEventListener("change", () => change({ [key]: byId(key).value }));
  byId("smoothing").addEventListener("change", () => change({ smoothing: Number(byId("smoothing").value) }));
  byId("filter").addEventListener("input", () => change({ filter: byId("filter").value }));
  byId("pick-all").addEventListener("click", () => {
    for (const run of getShown()) pick(run.name, true);
    change({});
  });
  byId("pick-none").addEventListener("click", () => {
    state.picked.clear();
    change({});
  });
  byId("save-table").addEventListener("click", () => {
    const columns = [NAME, ...state.columns];
    const rows = getShown().map((run) => columns.map((column) => getCell(data, run, column)[column === "changed" ? 1 : 0]));
    download("runs.csv", "text/csv", writeCSV([columns, ...rows]));
  });
  listenToAxis((axis) => change({ axis, range: null }));
  window.addEventListener("hashchange", () => {
    if (readHash()) show();
  });

  if (!readHash()) pickNewest();
  show();
  window.redraw = (fresh) => {
    data = prepare(fresh);
    show();
  };
})();
