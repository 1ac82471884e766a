// The page of one of the paper's experiments: its charts over epochs, the first one wide.
(() => {
  const parent = document.getElementById("charts");
  const { charts, num_epochs } = readData(document);
  charts.forEach((spec, place) => {
    const isLonger = spec.series.some((series) => series.steps.at(-1) > num_epochs);  // the paper's, than this run
    const range = isLonger ? [0, num_epochs] : null;
    const chart = new Chart(parent, spec, {}, { height: place === 0 ? 340 : 210, axis: "epochs", smoothing: 0, range });
    chart.figure.classList.toggle("wide", place === 0);
  });
})();
