"use strict";
/* Drawing: scales, ticks, lines, bars. Text goes in as text, never as markup. */

const SVG = "http://www.w3.org/2000/svg";

function make(name, attributes = {}, children = []) {
  const known = ["svg", "g", "path", "line", "text", "circle", "rect", "polygon", "title"].includes(name);
  const node = known ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "css") for (const [property, given] of Object.entries(value)) node.style.setProperty(property, given);
    else node.setAttribute(key, value);
  }
  for (const child of [].concat(children)) node.append(child);
  return node;
}

function scale(low, high, from, to, log) {
  const at = log ? (v) => Math.log(v) : (v) => v;
  const [a, b] = [at(low), at(high)];
  return (v) => from + (to - from) * (b > a ? (at(v) - a) / (b - a) : 0.5);
}

function ticks(low, high, count, log) {
  if (log) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
      for (const step of high / low < 200 ? [1, 2, 5] : [1]) {
        const value = step * 10 ** power;
        if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
      }
    return found;
  }
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((s) => s * power).find((s) => s >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high * 1.0001; value += step) found.push(value);
  return found;
}

function number(value) {
  if (value === null || value === undefined) return "—";
  const size = Math.abs(value);
  if (size >= 1e9) return (value / 1e9).toPrecision(3) + " G";
  if (size >= 1e6) return (value / 1e6).toPrecision(3) + " M";
  if (size >= 1e4) return (value / 1e3).toPrecision(3) + " k";
  if (size >= 100 || size === 0) return value.toFixed(0);
  return String(Number(value.toPrecision(3)));
}

function path(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/* Heights as near as possible to those wanted, at least `gap` apart. */
function spread(wanted, gap, low, high) {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  const room = Math.min(gap, (high - low) / Math.max(wanted.length - 1, 1));
  const placed = [];
  order.forEach((which, i) => { placed[which] = Math.max(wanted[which], i ? placed[order[i - 1]] + room : low); });
  for (let i = order.length - 1; i >= 0; i--) {
    const limit = i === order.length - 1 ? high : placed[order[i + 1]] - room;
    placed[order[i]] = Math.min(placed[order[i]], limit);
  }
  return placed;
}

const MARKS = [
  (x, y) => make("circle", { cx: x, cy: y, r: 4 }),
  (x, y) => make("rect", { x: x - 3.6, y: y - 3.6, width: 7.2, height: 7.2 }),
  (x, y) => make("polygon", { points: `${x},${y - 5} ${x + 4.6},${y + 3.6} ${x - 4.6},${y + 3.6}` }),
  (x, y) => make("polygon", { points: `${x},${y - 5} ${x + 5},${y} ${x},${y + 5} ${x - 5},${y}` }),
  (x, y) => make("polygon", { points: `${x},${y + 5} ${x + 4.6},${y - 3.6} ${x - 4.6},${y - 3.6}` }),
];

/* As report/student.py, whose table this is: beyond it, the first terms of the expansion. */
function meanAndHalf(values) {
  const n = values.length;
  const mean = values.reduce((a, b) => a + b, 0) / n;
  if (n < 2) return [mean, null];
  const deviation = Math.sqrt(values.reduce((a, v) => a + (v - mean) ** 2, 0) / (n - 1));
  const z = 1.959964, d = n - 1;
  const table = data.t_975;
  const t = d <= table.length ? table[d - 1] : z + (z ** 3 + z) / (4 * d) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * d * d);
  return [mean, (t * deviation) / Math.sqrt(n)];
}

/* Accuracy of a run at a budget, by the line between two probes; null outside of what was probed. */
function atBudget(points, x, y, budget) {
  if (budget < points[0][x] || budget > points[points.length - 1][x] * 1.02) return null;
  for (let i = 1; i < points.length; i++) {
    const [a, b] = [points[i - 1], points[i]];
    if (a[x] <= budget && budget <= b[x]) return b[x] > a[x] ? a[y] + ((b[y] - a[y]) * (budget - a[x])) / (b[x] - a[x]) : b[y];
  }
  return points[points.length - 1][y];
}
