// The page of one run.
(() => {
  let axis = "steps";
  let charts = [];

  const describe = (spec) => [spec.id, ...spec.series.map((series) => `${series.name} ${series.steps.length > 0}`)].join();

  function drawCharts(data) {
    const parent = document.getElementById("charts");
    if (data.charts.map(describe).join() === charts.map((chart) => describe(chart.spec)).join()) {
      charts.forEach((chart, place) => chart.update(data.charts[place], data));  // its buttons stay as they are
      return;
    }
    parent.replaceChildren();
    charts = data.charts.map((spec) => {
      const isWide = spec.id === "learning";
      const chart = new Chart(parent, spec, data, { height: isWide ? 340 : 210, axis });
      chart.figure.classList.toggle("wide", isWide);
      return chart;
    });
    document.getElementById("no-charts").hidden = charts.length > 0;
    document.querySelector('#axis [data-axis="hours"]').hidden = data.hours.hours.length === 0;
  }

  listenToAxis((chosen) => {
    axis = chosen;
    for (const chart of charts) chart.setAxis(axis);
  });

  // All videos of a row at once, from the beginning.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-play]");
    if (button === null) return;
    for (const video of document.querySelectorAll(`#${button.dataset.play} video`)) {
      video.currentTime = 0;
      video.play();
    }
  });

  function showButtons() {
    for (const button of document.querySelectorAll("[data-play]")) {
      button.hidden = document.querySelectorAll(`#${button.dataset.play} video`).length < 2;
    }
  }

  drawCharts(readData(document));
  showButtons();
  window.redraw = (data) => {
    drawCharts(data);
    showButtons();
  };
})();
