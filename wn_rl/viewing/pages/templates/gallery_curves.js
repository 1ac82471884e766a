// Which curves the page of many runs draws: of each run or of groups of them, a chart for each game.

const FIRST_CURVES = { evaluation: "Evaluation return", human: "Human-normalized score", iqm: "Human-normalized IQM over games" };
const NO_GROUPS = "", ALL_BUT_SEED = "*";
const MAX_PLACES = 200, MAX_IQM_PLACES = 25;

// A run's curve, x in units of the axis; null where it has none.
function getCurve(run, key, axis) {
  const isEvaluation = key in FIRST_CURVES;
  const found = isEvaluation ? run.evaluation : run.curves[key] && { steps: run.grids[run.curves[key][0]], y: run.curves[key][1] };
  if (!found || found.steps.length === 0 || (axis === "hours" && run.hours.hours.length === 0)) return null;
  const x = found.steps.map((steps) => AXES[axis].convert(steps, run));
  if (!isEvaluation || key === "evaluation") return { ...found, x };
  if (run.references === null) return null;
  const [random, human] = run.references;
  const normalize = (values) => values.map((value) => (value === null ? null : (100 * (value - random)) / (human - random)));
  return { x, y: normalize(found.y), low: normalize(found.low), high: normalize(found.high) };
}

function getSetting(data, run, key) {
  if (key === "game") return run.game;
  const setting = data.settings.find((one) => one.key === key);
  return setting?.texts[setting.of[run.number]] ?? "–";
}

// Groups of runs in their order: { name, runs }.
function groupRuns(data, runs, by) {
  if (by === NO_GROUPS) return runs.map((run) => ({ name: run.name, runs: [run] }));
  const differs = (key) => new Set(runs.map((run) => getSetting(data, run, key))).size > 1;
  const seeds = ["seed", "game"];  // games are told apart by their charts
  const all = data.settings.map(({ key }) => key).filter((key) => !seeds.includes(key) && differs(key));
  const list = (key) => runs.map((run) => getSetting(data, run, key)).join("\n");
  const isFirst = (key, place) => all.findIndex((other) => list(other) === list(key)) === place;  // optimizer.lr is the learning rate
  const keys = by === ALL_BUT_SEED ? all.filter(isFirst) : [by];
  const groups = new Map();
  for (const run of runs) {
    const values = keys.map((key) => getSetting(data, run, key));
    const name = keys.length === 1 ? `${keys[0]}=${values[0]}` : keys.map((key, place) => `${key}=${values[place]}`).join(", ");
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(run);
  }
  return [...groups].map(([name, runs]) => ({ name: name || "all", runs }));
}

// The mean over a group's runs and its interval, as far as all of them have come.
function makeGroupSeries(group, key, axis) {
  const curves = group.runs.map((run) => getCurve(run, key, axis)).filter((curve) => curve !== null);
  if (curves.length === 0) return null;
  const name = group.runs.length === 1 ? group.name : `${group.name} (${curves.length} run${curves.length === 1 ? "" : "s"})`;
  const common = { name, color: group.color, smooth: !(key in FIRST_CURVES), isConverted: true };
  if (curves.length === 1) return { ...common, ...curves[0], steps: curves[0].x, marks: key in FIRST_CURVES };
  const steps = findCommonPlaces(curves, MAX_PLACES);
  const points = steps.map((x) => computeMeanInterval(curves.map((curve) => interpolate(curve.x, curve.y, x))));
  return { ...common, steps, y: points.map((one) => one.mean), low: points.map((one) => one.low), high: points.map((one) => one.high) };
}

function makeIQMSeries(group, axis) {
  const games = new Map();
  for (const run of group.runs) {
    const curve = getCurve(run, "human", axis);
    if (curve !== null) games.set(run.game, [...(games.get(run.game) ?? []), curve]);
  }
  if (games.size === 0) return null;
  const steps = findCommonPlaces([...games.values()].flat(), MAX_IQM_PLACES);
  const points = steps.map((x) =>
    computeIQMInterval([...games.values()].map((curves) => curves.map((curve) => interpolate(curve.x, curve.y, x)))));
  const name = `${group.name} (${games.size} game${games.size === 1 ? "" : "s"})`;
  return {
    name, color: group.color, isConverted: true, steps, y: points.map((one) => one.mean),
    low: points.map((one) => one.low), high: points.map((one) => one.high),
  };
}

function describeInterval(key, isGrouped) {
  if (key === "iqm") return `mean of the middle half of all runs; band: 95 % stratified bootstrap over runs, from ${MIN_RUNS} runs of each game on`;
  if (isGrouped) return `mean of a group's runs; band: 95 % interval of the mean over them (Student's t), from ${MIN_RUNS} runs on`;
  return key in FIRST_CURVES ? "bars and band: 95 % interval over the games of an evaluation" : "";
}

// The charts: { id, title, note, unit, series }, one for each game, or one of all.
function makeSpecs(data, groups, { curve: key, axis, group: by }) {
  const title = FIRST_CURVES[key] ?? data.metrics[key];
  const games = [...new Set(groups.flatMap(({ runs }) => runs.map((run) => run.game)))].sort();
  const panels = key === "iqm" || by === "game" || games.length < 2 ? [null] : games;
  return panels.map((game) => {
    const ofGame = groups.map((group) => ({ ...group, runs: group.runs.filter((run) => game === null || run.game === game) }));
    const make = (group) => (key === "iqm" ? makeIQMSeries(group, axis) : makeGroupSeries(group, key, axis));
    const series = ofGame.filter(({ runs }) => runs.length > 0).map(make).filter((one) => one !== null && one.steps.length > 0);
    const about = game === null && key !== "iqm" ? [games.join(", ")] : [];
    if (series.length > NUM_STROKES) about.push(`more than ${NUM_STROKES} curves: the others are gray, point at one for its name, or group them`);
    const note = [...about, describeInterval(key, by !== NO_GROUPS)].filter(Boolean).join("; ");
    return { id: game ?? "overlay", title: game === null ? title : `${game}: ${title}`, note, unit: key in FIRST_CURVES && key !== "evaluation" ? " %" : "", series };
  }).filter(({ series }) => series.length > 0);
}
