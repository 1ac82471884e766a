// What several runs say together: means with their intervals over seeds, and the interquartile mean over games.

const MIN_RUNS = 3;  // of fewer an interval says nothing: two equal runs would have one of width 0
const NUM_RESAMPLES = 1000;
// Student's t at 97.5 %, for 1 to 30 degrees of freedom.
const T975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
  2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042];

function computeMean(values) { return values.reduce((sum, value) => sum + value, 0) / values.length; }

// mean ± t s / √n: honest for few seeds, of which a bootstrap's interval is too narrow; low and high null below three.
function computeMeanInterval(values) {
  const [n, mean] = [values.length, computeMean(values)];
  if (n < MIN_RUNS) return { mean, low: null, high: null };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const t = T975[n - 2] ?? 1.96 + 2.42 / (n - 1);
  const reach = t * Math.sqrt(variance / n);
  return { mean, low: mean - reach, high: mean + reach };
}

// The mean of the middle half (Agarwal et al. 2021): a quarter of the values, rounded down, is left out at either end.
function computeIQM(values) {
  const sorted = Float64Array.from(values).sort();
  const cut = Math.floor(sorted.length / 4);
  let sum = 0;
  for (let place = cut; place < sorted.length - cut; place++) sum += sorted[place];
  return sum / (sorted.length - 2 * cut);
}

// Numbers in [0, 1) that are the same each time (mulberry32): a page that is opened again shows the same interval.
function makeRandom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// The IQM of all runs of all games, and its 95 % percentile interval over runs that are drawn anew within each game
// (the stratified bootstrap of Agarwal et al. 2021); null where a game has fewer than three runs.
// games: a list of scores for each game.
function computeIQMInterval(games) {
  const iqm = computeIQM(games.flat());
  if (games.some((scores) => scores.length < MIN_RUNS)) return { mean: iqm, low: null, high: null };
  const random = makeRandom(1);
  const resampled = new Float64Array(games.flat().length);
  const found = Float64Array.from({ length: NUM_RESAMPLES }, () => {
    let place = 0;
    for (const scores of games) {
      for (let draws = 0; draws < scores.length; draws++) resampled[place++] = scores[Math.floor(random() * scores.length)];
    }
    return computeIQM(resampled);
  }).sort();
  const at = (share) => found[Math.round(share * (NUM_RESAMPLES - 1))];
  return { mean: iqm, low: at(0.025), high: at(0.975) };
}

// The value at x of a curve whose places rise, linear between them; x lies within.
function interpolate(places, values, x) {
  let [low, high] = [0, places.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (places[middle] <= x) low = middle;
    else high = middle;
  }
  const width = places[high] - places[low];
  return width > 0 ? values[low] + ((values[high] - values[low]) * (x - places[low])) / width : values[high];
}

// Where all of these curves are: at most so many of their own places, from the latest first to the earliest last.
function findCommonPlaces(curves, maxPlaces) {
  const first = Math.max(...curves.map(({ x }) => x[0]));
  const last = Math.min(...curves.map(({ x }) => x.at(-1)));
  const all = [...new Set(curves.flatMap(({ x }) => x))].filter((x) => x >= first && x <= last).sort((a, b) => a - b);
  const stride = Math.ceil(all.length / maxPlaces);
  return all.filter((_, place) => (all.length - 1 - place) % stride === 0);
}
