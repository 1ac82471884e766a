"use strict";
// What charts are made of: elements, colors, numbers as text, ticks, axes.

const SVG = "http://www.w3.org/2000/svg";
const DASHES = ["", "7 4", "2 4", "10 3 2 3"];  // beyond eight curves colors come again, with another stroke
const NUM_STROKES = 8 * DASHES.length;  // more than that nobody tells apart: they are gray, and named where one points

function make(tag, attributes = {}, children = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function draw(parent, tag, attributes = {}, text = null) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  parent.append(element);
  return element;
}

function getColor(number) { return number < NUM_STROKES ? `var(--c${number % 8})` : "var(--soft)"; }
function getDash(number) { return number < NUM_STROKES ? DASHES[Math.floor(number / 8)] : ""; }

function drawSwatch(svg, number) {
  svg.replaceChildren();
  const attributes = { x1: 1, x2: 21, y1: 5, y2: 5, "stroke-width": 3, "stroke-dasharray": getDash(number) };
  draw(svg, "line", { ...attributes, style: `stroke: ${getColor(number)}` });
}

function formatNumber(value) {
  const size = Math.abs(value);
  let text;
  if (size >= 1e6) text = `${+(size / 1e6).toPrecision(4)} M`;
  else if (size >= 1e4) text = `${+(size / 1e3).toPrecision(4)} k`;
  else if (size >= 1e-3 || size === 0) text = String(+size.toPrecision(4));
  else text = size.toExponential(2).replace(/\.?0*e-/, "e−");
  return value < 0 ? `−${text}` : text;
}

// 5 k below 10 k: one unit along an axis.
function formatTick(tick, ticks) {
  const isThousands = Math.max(...ticks) >= 1e4 && Math.abs(tick) >= 1e3 && Math.abs(tick) < 1e4;
  return isThousands ? `${tick < 0 ? "−" : ""}${Math.abs(tick) / 1e3} k` : formatNumber(tick);
}

// Round numbers between low and high, about `count` of them.
function findTicks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const ticks = [];
  for (let number = Math.ceil(low / step - 1e-9); number * step <= high + step * 1e-9; number++) {
    ticks.push(+(number * step).toPrecision(12));
  }
  return ticks;
}

function findPowers(low, high) {
  const ticks = [];
  for (let power = Math.ceil(Math.log10(low)); 10 ** power <= high; power++) ticks.push(10 ** power);
  return ticks.length > 1 ? ticks : [low, Math.sqrt(low * high), high];
}

// Mean over a window around each point, which reaches so many percent of the curve to either side: what noise hides.
function smooth(values, percent) {
  const reach = Math.floor((values.length * percent) / 100);
  return values.map((_, place) => {
    const near = values.slice(Math.max(0, place - reach), place + reach + 1);
    return near.reduce((sum, value) => sum + value, 0) / near.length;
  });
}

// Agent steps to hours, linear between the places that are known.
function interpolateHours(hours, steps) {
  const known = hours.steps;
  const next = known.findIndex((place) => place >= steps);
  if (next === 0) return hours.hours[0] * (steps / known[0]);
  if (next === -1) return hours.hours.at(-1);
  const share = (steps - known[next - 1]) / (known[next] - known[next - 1]);
  return hours.hours[next - 1] + share * (hours.hours[next] - hours.hours[next - 1]);
}

const AXES = {
  steps: { label: "agent steps", convert: (steps) => steps },
  epochs: { label: "epochs", convert: (steps) => steps },
  frames: { label: "frames", convert: (steps, source) => steps * source.frames_per_agent_step },
  hours: { label: "hours of training", convert: (steps, source) => interpolateHours(source.hours, steps) },
};

function findNearest(places, x) {
  let best = 0;
  for (let place = 1; place < places.length; place++) {
    if (Math.abs(places[place] - x) < Math.abs(places[best] - x)) best = place;
  }
  return best;
}

// Buttons of which one is pressed; calls `choose` with what it stands for.
function listenToAxis(choose) {
  const buttons = [...document.querySelectorAll("#axis button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", other === button);
      choose(button.dataset.axis);
    });
  }
}

function readData(from) { return JSON.parse(from.getElementById("data").textContent); }
