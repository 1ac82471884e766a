// The page of many runs.
(() => {
  const FIRST_TICKED = 6;
  let data = readData(document);
  let axis = "steps";
  let chart = null;
  const picked = new Map();  // name of a ticked run -> number of its color
  const byId = (id) => document.getElementById(id);
  const describe = ({ spec, axis }) => [axis, spec.title, spec.note, ...spec.series.map((one) => `${one.name} ${one.color}`)].join();
  const getRows = () => [...byId("rows").children];
  const getRun = (row) => data.runs[Number(row.dataset.run)];

  function pick(name, isPicked) {
    if (!isPicked) picked.delete(name);
    else if (!picked.has(name)) {
      const taken = new Set(picked.values());
      let number = 0;
      while (taken.has(number)) number++;
      picked.set(name, number);
    }
  }

  function show() {
    for (const row of getRows()) {
      const { name } = getRun(row);
      row.querySelector("input").checked = picked.has(name);
      const swatch = row.querySelector(".swatch");
      if (picked.has(name)) drawSwatch(swatch, picked.get(name));
      else swatch.replaceChildren();
    }
    showCurves();
    showDifferences();
  }

  function showCurves() {
    const key = byId("curve").value;
    const runs = data.runs.filter((run) => picked.has(run.name) && run.curves[key].steps.length > 0);
    const usable = axis === "hours" ? runs.filter((run) => run.hours.hours.length > 0) : runs;
    byId("no-curves").hidden = usable.length > 0;
    if (usable.length === 0) {
      byId("overlay").replaceChildren();
      chart = null;
      return;
    }
    const series = usable.map((run) => ({
      ...run.curves[key], name: run.name, color: picked.get(run.name), source: run, smooth: !run.curves[key].marks,
    }));
    const games = new Set(usable.map((run) => run.game));
    const note = games.size > 1 && key !== "human" ? "of different games: only the human-normalized score compares them" : [...games].join(", ");
    const spec = { id: "overlay", title: data.curves[key], note, unit: key === "human" ? " %" : "", series };
    if (chart !== null && describe(chart) === describe({ spec, axis })) {
      chart.update(spec, null);  // its buttons stay as they are
      return;
    }
    byId("overlay").replaceChildren();
    chart = new Chart(byId("overlay"), spec, null, { height: 380, axis });
  }

  // Columns of ticked runs, rows in which those differ; the marks are against the most frequent of them.
  function showDifferences() {
    const shown = data.runs.map((run) => picked.has(run.name));
    const table = byId("differences-table");
    [...table.tHead.rows[0].cells].slice(1).forEach((cell, place) => { cell.hidden = !shown[place]; });
    let numDiffering = 0;
    for (const row of table.tBodies[0].rows) {
      const cells = [...row.cells].slice(1);
      const visible = cells.filter((_, place) => shown[place]);
      const counts = new Map();
      for (const cell of visible) counts.set(cell.textContent, (counts.get(cell.textContent) ?? 0) + 1);
      const usual = [...counts].reduce((best, one) => (one[1] > best[1] ? one : best), ["", 0])[0];
      cells.forEach((cell, place) => {
        cell.hidden = !shown[place];
        cell.classList.toggle("unusual", cell.textContent !== usual);
      });
      row.hidden = counts.size < 2;
      numDiffering += counts.size > 1;
    }
    byId("no-differences").hidden = numDiffering > 0;
    table.hidden = numDiffering === 0;
  }

  function filter() {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const game = byId("game").value;
    for (const row of getRows()) {
      const text = `${getRun(row).name} ${row.textContent}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word)) || (game !== "" && row.dataset.game !== game);
    }
  }

  // By a column; numbers by size, names by letters, what is missing last either way.
  function sort(column, isFalling) {
    const sign = isFalling ? -1 : 1;
    const keyed = getRows().map((row) => ({ row, value: row.cells[column].dataset.value }));
    const areNumbers = keyed.every(({ value }) => value === "" || Number.isFinite(Number(value)));
    keyed.sort((a, b) => {
      if (a.value === "" || b.value === "") return (a.value === "") - (b.value === "");
      return sign * (areNumbers ? a.value - b.value : a.value.localeCompare(b.value, "en", { numeric: true }));
    });
    byId("rows").append(...keyed.map(({ row }) => row));
    [...byId("runs").tHead.rows[0].cells].forEach((cell, place) => {
      if (place === column) cell.setAttribute("aria-sort", isFalling ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  }

  function getSorted() {
    const cells = [...byId("runs").tHead.rows[0].cells];
    const column = cells.findIndex((cell) => cell.hasAttribute("aria-sort"));
    return { column, isFalling: column >= 0 && cells[column].getAttribute("aria-sort") === "descending" };
  }

  byId("runs").tHead.addEventListener("click", (event) => {
    const cell = event.target.closest("button")?.closest("th");
    if (!cell) return;
    const sorted = getSorted();
    const startsFalling = !cell.classList.contains("text");  // the best first
    sort(cell.cellIndex, sorted.column === cell.cellIndex ? !sorted.isFalling : startsFalling);
  });
  byId("rows").addEventListener("change", (event) => {
    pick(getRun(event.target.closest("tr")).name, event.target.checked);
    show();
  });
  byId("filter").addEventListener("input", filter);
  byId("game").addEventListener("change", filter);
  byId("curve").addEventListener("change", showCurves);
  byId("pick-all").addEventListener("click", () => {
    for (const row of getRows()) if (!row.hidden) pick(getRun(row).name, true);
    show();
  });
  byId("pick-none").addEventListener("click", () => {
    picked.clear();
    show();
  });
  listenToAxis((chosen) => {
    axis = chosen;
    showCurves();
  });

  // At first: the newest runs of the game that was trained last.
  const newest = data.runs.filter((run) => run.curves["train/mean_return"].steps.length > 0).sort((a, b) => b.changed - a.changed);
  const ofGame = newest.filter((run) => run.game === newest[0].game).slice(0, FIRST_TICKED);
  for (const run of data.runs) if (ofGame.includes(run)) pick(run.name, true);
  show();
  window.redraw = (fresh) => {
    data = fresh;
    const sorted = getSorted();
    if (sorted.column >= 0) sort(sorted.column, sorted.isFalling);
    filter();
    show();
  };
})();
