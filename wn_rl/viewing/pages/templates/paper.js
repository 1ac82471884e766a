// The page of one of the paper's experiments: its charts over epochs, the first one wide.
(() => {
  const parent = document.getElementById("charts");
  readData(document).charts.forEach((spec, place) => {
    const chart = new Chart(parent, spec, {}, { height: place === 0 ? 340 : 210, axis: "epochs", smoothing: 0 });
    chart.figure.classList.toggle("wide", place === 0);
  });
})();
