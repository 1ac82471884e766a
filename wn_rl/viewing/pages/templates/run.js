// The page of one run.
(() => {
  const FIRST = ["learning", "human", "train/loss", "train/max_q_value"];
  let axis = "steps";
  let charts = [];
  let range = null;
  let smoothing = 2;

  function zoom(wanted) {
    range = wanted;
    for (const chart of charts) chart.set({ range });
  }

  const describe = (spec) => [spec.id, ...spec.series.map((series) => `${series.name} ${series.steps.length > 0}`)].join();

  function drawCharts(data) {
    const [first, more] = ["charts", "more-charts"].map((id) => document.getElementById(id));
    if (data.charts.map(describe).join() === charts.map((chart) => describe(chart.spec)).join()) {
      charts.forEach((chart, place) => chart.update(data.charts[place], data));  // its buttons stay as they are
      return;
    }
    first.replaceChildren();
    more.replaceChildren();
    charts = data.charts.map((spec) => {
      const isWide = spec.id === "learning";
      const chart = new Chart(FIRST.includes(spec.id) ? first : more, spec, data, { height: isWide ? 340 : 210, axis, smoothing, range, zoom });
      chart.figure.classList.toggle("wide", isWide);
      return chart;
    });
    document.getElementById("no-charts").hidden = charts.length > 0;
    document.getElementById("no-more").hidden = more.children.length > 0;
    document.querySelector('#axis [data-axis="hours"]').hidden = data.hours.hours.length === 0;
  }

  document.getElementById("smoothing").addEventListener("change", (event) => {
    smoothing = Number(event.target.value);
    for (const chart of charts) chart.set({ smoothing });
  });
  listenToAxis((chosen) => {
    axis = chosen;
    range = null;
    for (const chart of charts) chart.set({ axis, range });
  });

  // All videos of a row at once, from the beginning.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-play]");
    if (button === null) return;
    for (const video of document.querySelectorAll(`#${button.dataset.play} video`)) play(video);
  });

  function play(video) {
    video.controls = true;
    video.parentElement.querySelector(".play")?.remove();
    video.currentTime = 0;
    video.play();
  }

  // Posters stay clean until a video plays: one button instead of a row of controls.
  function showPosters() {
    for (const video of document.querySelectorAll("video[poster][controls]")) {
      if (video.currentTime > 0 || !video.paused) continue;
      video.controls = false;
      const button = make("button", { type: "button", class: "play", "aria-label": `Play: ${video.getAttribute("aria-label")}` });
      button.addEventListener("click", () => play(video));
      video.after(button);
    }
  }

  function showButtons() {
    showPosters();
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
