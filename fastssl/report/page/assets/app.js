/* The page: state, and what is drawn from it. Points are [compute_h, views, epoch, ridge, knn]. */

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const AXES = { compute: 0, views: 1, epochs: 2 };
const PROBES = { ridge: 3, kNN: 4 };
const state = { group: 0, axis: "compute", probe: "ridge", log: false, off: new Set(), budget: 1, sort: "accuracy", down: true };
const DASHES = ["", "7 3", "2 3", "9 3 2 3"];

const group = () => data.groups[state.group];
const colour = (arm) => arm.role === "floor" ? "var(--floor)" : arm.role === "ceiling" ? "var(--ink)"
  : `var(--c${group().arms.filter((a) => a.role === "method").indexOf(arm) % 8})`;
const place = (arm) => group().arms.indexOf(arm);
const shown = () => group().arms.filter((arm) => !state.off.has(arm.name));
const device = () => (group().kind === "cuda" ? "GPU" : "machine");

function unit() {
  const most = Math.max(...group().arms.flatMap((a) => a.runs.map((r) => r.points[r.points.length - 1][0])));
  return most < 3 / 60 ? ["seconds", 3600] : most < 3 ? ["minutes", 60] : ["hours", 1];
}

/* Probe by probe, as far as every run goes: [mean x, mean y, half of the interval]. */
function meanCurve(arm, x, y) {
  const length = Math.min(...arm.runs.map((run) => run.points.length));
  return Array.from({ length }, (_, i) => {
    const [mean, half] = meanAndHalf(arm.runs.map((run) => run.points[i][y]));
    return [meanAndHalf(arm.runs.map((run) => run.points[i][x]))[0], mean, half];
  });
}

function choice(id, names, key) {
  for (const name of names) {
    const button = make("button", { type: "button", "data-value": name }, name);
    button.onclick = () => { state[key] = name; render(); };
    $(id).append(button);
  }
}

function drawCurves() {
  const width = Math.max($("plot").clientWidth, 300), narrow = width < 640;
  const height = narrow ? 330 : 430, left = 52, right = narrow ? 12 : 200, top = 12, bottom = 44;
  const x = AXES[state.axis], y = PROBES[state.probe];
  const [unitName, perHour] = unit();
  const factor = x === 0 ? perHour : 1;
  const arms = shown();
  const curves = arms.map((arm) => meanCurve(arm, x, y).map(([a, b, h]) => [a * factor, b * 100, h === null ? null : h * 100]));
  const all = arms.flatMap((arm) => arm.runs.flatMap((run) => run.points));
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "accuracy curves" });
  const positive = all.map((p) => p[x] * factor).filter((v) => v > 0);
  if (!arms.length || !positive.length) { $("plot").replaceChildren(make("p", { class: "quiet" }, "No method is chosen.")); return; }
  const ends = arms.filter((a) => a.role !== "floor").length ? arms.filter((a) => a.role !== "floor") : arms;
  const high = Math.max(...ends.flatMap((a) => a.runs.flatMap((r) => r.points.map((p) => p[x] * factor)))) || 1;
  const low = state.log ? Math.min(...positive) : 0;
  const values = all.map((p) => p[y] * 100);
  const margin = Math.max(0.06 * (Math.max(...values) - Math.min(...values)), 1);
  const bounds = [Math.max(0, Math.min(...values) - margin), Math.min(100, Math.max(...values) + margin)];
  const X = scale(low, high, left, width - right, state.log), Y = scale(...bounds, height - bottom, top, false);
  for (const value of ticks(...bounds, 6)) {
    svg.append(make("line", { class: "grid", x1: left, x2: width - right, y1: Y(value), y2: Y(value) }));
    svg.append(make("text", { x: left - 8, y: Y(value) + 4, "text-anchor": "end" }, `${number(value)} %`));
  }
  for (const value of ticks(low, high, narrow ? 4 : 7, state.log)) {
    svg.append(make("line", { class: "grid", x1: X(value), x2: X(value), y1: top, y2: height - bottom }));
    svg.append(make("text", { x: X(value), y: height - bottom + 18, "text-anchor": "middle" }, number(value)));
  }
  const title = x === 0 ? `${device()}-${unitName} of training` : x === 1 ? "views processed" : "epochs";
  svg.append(make("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, title));
  const hits = [];
  arms.forEach((arm, i) => {
    const curve = curves[i], css = { stroke: colour(arm), fill: "none" };
    const line = make("g", { class: "arm", "data-arm": arm.name });
    if (arm.role === "floor") {
      const level = Y(curve[curve.length - 1][1]);
      line.append(make("line", { x1: left, x2: width - right, y1: level, y2: level, "stroke-width": 1.6, "stroke-dasharray": "6 4", css }));
    } else {
      if (arm.runs.length > 1) {
        for (const run of arm.runs)
          line.append(make("path", { d: path(run.points.map((p) => [X(p[x] * factor), Y(p[y] * 100)])), "stroke-width": 0.8, opacity: 0.35, css }));
        const up = curve.map(([a, b, h]) => [X(a), Y(Math.min(b + h, bounds[1]))]);
        const down = curve.map(([a, b, h]) => [X(a), Y(Math.max(b - h, bounds[0]))]).reverse();
        line.append(make("path", { d: path([...up, ...down]) + "Z", opacity: 0.12, css: { fill: colour(arm) } }));
      }
      const dash = arm.role === "ceiling" ? "8 3" : DASHES[Math.floor(place(arm) / 8) % 4];
      line.append(make("path", { d: path(curve.map(([a, b]) => [X(a), Y(b)])), "stroke-width": 2.2, "stroke-dasharray": dash, css }));
      for (const [a, b] of curve) {
        const mark = MARKS[place(arm) % MARKS.length](X(a), Y(b));
        mark.style.setProperty("fill", colour(arm));
        line.append(mark);
      }
    }
    curve.forEach(([a, b, h]) => hits.push({ arm, px: X(a), py: Y(b), x: a, y: b, half: h }));
    svg.append(line);
  });
  if (!narrow) {
    const wanted = curves.map((curve) => Y(curve[curve.length - 1][1]));
    const placed = spread(wanted, 15, top + 6, height - bottom);
    arms.forEach((arm, i) => {
      const name = arm.name.length > 26 ? arm.name.slice(0, 25) + "…" : arm.name;
      svg.append(make("text", { class: "label", x: width - right + 10, y: placed[i] + 4, css: { fill: colour(arm) } }, name));
    });
  }
  const cross = make("line", { class: "grid", y1: top, y2: height - bottom, visibility: "hidden" });
  svg.append(cross);
  svg.onpointermove = (event) => {
    const box = svg.getBoundingClientRect();
    const at = [(event.clientX - box.left) * (width / box.width), (event.clientY - box.top) * (height / box.height)];
    let near = null;
    for (const hit of hits) {
      const far = Math.hypot(hit.px - at[0], hit.py - at[1]);
      if (far < 40 && (!near || far < near.far)) near = { ...hit, far };
    }
    cross.setAttribute("visibility", near ? "visible" : "hidden");
    $("tip").hidden = !near;
    if (!near) return;
    cross.setAttribute("x1", near.px); cross.setAttribute("x2", near.px);
    const seeds = near.arm.runs.length > 1 ? `${near.arm.runs.length} runs` : "one run";
    const half = near.half === null ? "" : ` ± ${near.half.toFixed(1)}`;
    $("tip").replaceChildren(make("b", {}, near.arm.name), make("br"),
      `${near.y.toFixed(1)}${half} % ${state.probe} at ${number(near.x)} ${x === 0 ? unitName : state.axis}, ${seeds}`);
    const wide = document.documentElement.clientWidth, tip = $("tip").getBoundingClientRect();
    $("tip").style.left = `${Math.min(event.pageX + 14, wide - tip.width - 8)}px`;
    $("tip").style.top = `${event.pageY + 14}px`;
  };
  svg.onpointerleave = () => { $("tip").hidden = true; cross.setAttribute("visibility", "hidden"); };
  $("plot").replaceChildren(svg);
}

function drawLegend() {
  $("legend").replaceChildren(...group().arms.map((arm) => {
    const button = make("button", { type: "button", "aria-pressed": String(!state.off.has(arm.name)), css: { "border-color": colour(arm) },
      title: "click: hide or show; double click: this one alone" }, arm.name);
    button.onclick = () => { state.off.has(arm.name) ? state.off.delete(arm.name) : state.off.add(arm.name); render(); focusArm(arm.name); };
    button.ondblclick = () => {
      const others = group().arms.filter((a) => a !== arm).map((a) => a.name);
      const alone = !state.off.has(arm.name) && others.every((name) => state.off.has(name));
      state.off = new Set(alone ? [] : others);
      render();
    };
    return button;
  }));
}

function focusArm(name) {
  [...$("legend").children].find((button) => button.textContent === name)?.focus();
}

const COLUMNS = [["method", "name"], ["runs", "runs"], ["ridge %", "ridge"], ["kNN %", "knn"], ["views", "views"], ["compute", "compute"], ["Wh", "wh"], ["FLOPs", "flops"]];

function drawTable() {
  const [unitName, perHour] = unit();
  const most = Math.max(...group().arms.flatMap((a) => a.runs.map((r) => r.points[r.points.length - 1][0])));
  const budget = most * state.budget;
  $("budget-value").textContent = `${number(budget * perHour)} ${device()}-${unitName}`;
  $("budget").setAttribute("aria-valuetext", $("budget-value").textContent);
  const whole = state.budget >= 1;
  const rows = group().arms.map((arm) => {
    const level = arm.role === "floor";
    const of = (y) => {
      const found = arm.runs.map((run) => whole || level ? run.points[run.points.length - 1][y] : atBudget(run.points, 0, y, budget)).filter((v) => v !== null);
      return found.length ? [...meanAndHalf(found), found.length] : [null, null, 0];
    };
    const mean = (pick) => {
      const found = arm.runs.map(pick).filter((v) => v !== null && v !== undefined);
      return found.length ? meanAndHalf(found)[0] : null;
    };
    const end = (run) => run.points[run.points.length - 1];
    const views = whole || level ? mean((run) => end(run)[1]) : mean((run) => atBudget(run.points, 0, 1, budget));
    const joules = mean((run) => run.budget.joules);
    return { name: arm.name + (level ? " (floor)" : arm.role === "ceiling" ? " (ceiling)" : ""), runs: arm.runs.length, ridge: of(3), knn: of(4), views,
      compute: mean((run) => end(run)[0]), wh: joules === null ? null : joules / 3600, flops: mean((run) => run.budget.flops) };
  });
  const columns = COLUMNS.filter(([, key]) => !["wh", "flops"].includes(key) || rows.some((row) => row[key] !== null));
  const value = (row, key) => (Array.isArray(row[key]) ? row[key][0] : row[key]);
  if (state.sort === "accuracy") state.sort = state.probe === "ridge" ? "ridge" : "knn";
  rows.sort((a, b) => {
    const [u, v] = [value(a, state.sort), value(b, state.sort)];
    if (u === null || v === null) return (u === null) - (v === null);
    return (typeof u === "string" ? u.localeCompare(v) : u - v) * (state.down ? -1 : 1);
  });
  const cell = (row, key) => {
    if (key === "compute") return `${number(row.compute * perHour)} ${unitName[0]}`;
    if (!Array.isArray(row[key])) return typeof row[key] === "string" ? row[key] : number(row[key]);
    const [mean, half, count] = row[key];
    if (mean === null) return "—";
    const some = count < row.runs ? ` (${count} of ${row.runs})` : "";
    return (100 * mean).toFixed(1) + (half === null ? "" : ` ± ${(100 * half).toFixed(1)}`) + some;
  };
  const head = make("tr", {}, columns.map(([title, key]) => {
    const button = make("button", { type: "button" }, title);
    button.onclick = () => { state.down = state.sort === key ? !state.down : key !== "name"; state.sort = key; drawTable(); $("table").querySelector(`th[data-key="${key}"] button`).focus(); };
    return make("th", { scope: "col", "data-key": key, "aria-sort": state.sort === key ? (state.down ? "descending" : "ascending") : "none" }, button);
  }));
  $("table").tHead.replaceChildren(head);
  $("table").tBodies[0].replaceChildren(...rows.map((row) => make("tr", {}, columns.map(([, key]) => make("td", {}, cell(row, key))))));
}

function facts(title, entries) {
  const rows = Object.entries(entries).filter(([, v]) => v !== null && v !== undefined);
  return make("div", {}, [make("h3", {}, title), rows.length ? make("dl", {}, rows.flatMap(([k, v]) => [make("dt", {}, k), make("dd", {}, String(v))])) : make("p", { class: "quiet" }, "nothing")]);
}

function phases(clock) {
  const names = ["train_s", "data_s", "eval_s", "compile_s", "checkpoint_s"].filter((name) => clock[name] > 0);
  const total = names.reduce((sum, name) => sum + clock[name], 0) || 1;
  const bar = make("div", { class: "phases", role: "img", "aria-label": "shares of the phases" }, names.map((name, i) =>
    make("span", { css: { width: `${(100 * clock[name]) / total}%`, background: `var(--c${i})` } })));
  const list = Object.fromEntries(names.map((name) => [name.replace("_s", ""), `${number(clock[name])} s, ${((100 * clock[name]) / total).toFixed(0)} %`]));
  if (clock.wall_s) list.wall = `${number(clock.wall_s)} s`;
  const box = facts("Clock", list);
  box.querySelector("h3").after(bar);
  return box;
}

function spectrum(spectra) {
  const width = 300, height = 190, points = spectra.flatMap((s) => s.points);
  const X = scale(1, Math.max(...points.map((p) => p[0]), 2), 34, width - 6, true);
  const Y = scale(Math.min(...points.map((p) => p[1])), Math.max(...points.map((p) => p[1])), height - 26, 8, true);
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "eigenspectrum" });
  spectra.forEach((s) => svg.append(make("path", { d: path(s.points.map(([r, v]) => [X(r), Y(v)])), "stroke-width": 2, "stroke-dasharray": s.weights === "random" ? "5 3" : "",
    css: { stroke: s.weights === "random" ? "var(--floor)" : "var(--c0)", fill: "none" } })));
  svg.append(make("text", { x: width / 2, y: height - 6, "text-anchor": "middle" }, "rank (dashed: untrained)"));
  const list = Object.fromEntries(spectra.map((s) => [`${s.layer}, ${s.weights}`, `α ${s.metrics.alpha === undefined ? "—" : s.metrics.alpha.toFixed(2)}, RankMe ${s.metrics.rankme.toFixed(0)}`]));
  const box = facts("Spectrum", list);
  box.classList.add("small");
  box.querySelector("h3").after(svg);
  return box;
}

function probes(found) {
  const rows = found.flatMap((p) => p.rows.filter(([name]) => !name.startsWith("knn_k")).map(([name, value, error]) => make("tr", {}, [
    make("td", { title: p.protocol }, `${name.replaceAll("_", " ")}${p.weights === "random" ? ", untrained" : ""}`), make("td", {}, p.dataset), make("td", {}, p.layer),
    make("td", {}, p.views ? `${p.views} drawn` : "plain"), make("td", {}, `${(100 * value).toFixed(1)} ± ${(100 * error).toFixed(1)}`)])));
  const head = make("tr", {}, ["probe", "dataset", "layer", "views", "%"].map((name) => make("th", { scope: "col" }, name)));
  return make("div", { class: "small" }, [make("h3", {}, "Probes afterwards"), make("table", {}, [make("thead", {}, head), make("tbody", {}, rows)])]);
}

function drawCards() {
  $("cards").replaceChildren(...group().arms.flatMap((arm) => arm.runs.map((run) => {
    const end = run.points[run.points.length - 1], error = run.metrics.ridge_se;
    const score = `ridge ${(100 * end[3]).toFixed(1)}${error ? ` ± ${(100 * error).toFixed(1)}` : ""} %, kNN ${(100 * end[4]).toFixed(1)} %`;
    const card = make("details", {}, make("summary", {}, [make("b", { css: { color: colour(arm) } }, arm.name), `seed ${run.seed}: ${score}${run.final ? "" : " (unfinished)"} `]));
    card.ontoggle = () => {
      if (!card.open || card.children.length > 1) return;
      const cost = Object.fromEntries(Object.entries(run.budget).map(([k, v]) => [k, typeof v === "number" ? number(v) : v]));
      const parts = [facts("Recipe, where arms differ", arm.differs), phases(run.clock), facts("Budget", cost), facts("Environment", { run: run.run, ...run.environment })];
      if (run.spectra.length) parts.push(spectrum(run.spectra));
      if (run.probes.length) parts.push(probes(run.probes));
      parts.push(run.sheet ? make("div", {}, [make("h3", {}, "Views"), make("img", { src: run.sheet, alt: "images beside their views" })])
        : make("div", {}, [make("h3", {}, "Views"), make("p", { class: "quiet" }, `No sheet: fastssl views ${group().dataset} --out runs/${run.run}/views.png`)]));
      card.append(make("div", { class: "inside" }, parts));
    };
    return card;
  })));
}

function drawBench() {
  const bench = data.benches[Number($("case").value)];
  if (!bench) return;
  const width = Math.max($("benches").clientWidth, 280), left = Math.min(190, width * 0.42), row = 24;
  const bars = Object.entries(bench.bars).sort(([, a], [, b]) => a.median - b.median);
  const high = Math.max(...bars.map(([, b]) => b.high ?? b.median)), X = scale(0, high, left, width - 74, false);
  const height = bars.length * row + 8;
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${bench.case}: ${bench.unit}` });
  bars.forEach(([name, bar], i) => {
    const y = 4 + i * row, fill = bar.ceiling ? "var(--floor)" : "var(--c0)";
    svg.append(make("text", { x: left - 8, y: y + 14, "text-anchor": "end" }, name + (bar.ceiling ? " (ceiling)" : "")));
    svg.append(make("rect", { x: left, y: y + 3, width: Math.max(X(bar.median) - left, 1), height: row - 9, rx: 2, opacity: bar.ceiling ? 0.55 : 1, css: { fill } }));
    if (bar.low !== null) svg.append(make("line", { x1: X(bar.low), x2: X(bar.high), y1: y + row / 2 - 1, y2: y + row / 2 - 1, "stroke-width": 1.4, css: { stroke: "var(--ink)" } }));
    svg.append(make("text", { x: X(bar.high ?? bar.median) + 6, y: y + 14 }, number(bar.median)));
    if (bar.ceiling) svg.append(make("line", { x1: X(bar.median), x2: X(bar.median), y1: 0, y2: height, "stroke-dasharray": "4 3", css: { stroke: "var(--floor)" } }));
  });
  const threads = bench.threads ? `, ${bench.threads} thread${bench.threads > 1 ? "s" : ""}` : "";
  $("benches").replaceChildren(make("p", { class: "quiet" }, `${bench.unit}, ${bench.device}${threads}${bench.quick ? ", quick" : ""}`), make("div", { class: "small" }, svg));
}

function render() {
  for (const [id, key] of [["axis", "axis"], ["probe", "probe"]])
    for (const button of $(id).querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.value === state[key]));
  $("protocol").textContent = group().protocol;
  drawLegend(); drawCurves(); drawTable();
}

function start() {
  const days = data.days[0] === data.days[1] ? data.days[0] : `${data.days[0]} to ${data.days[1]}`;
  $("about").textContent = `${data.runs} runs, ${data.records} records, ${days}; code ${data.commits.join(", ") || "unknown"}`;
  data.groups.forEach((g, i) => $("group").append(make("option", { value: i }, `${g.dataset} on ${g.device} (${g.arms.reduce((n, a) => n + a.runs.length, 0)} runs)`)));
  choice("axis", Object.keys(AXES), "axis");
  choice("probe", Object.keys(PROBES), "probe");
  $("group").onchange = () => { state.group = Number($("group").value); state.off.clear(); render(); drawCards(); };
  $("log").onchange = () => { state.log = $("log").checked; render(); };
  $("budget").oninput = () => { state.budget = Number($("budget").value) / 1000; drawTable(); };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = (name) => document.documentElement.setAttribute("data-theme", name);
  theme(dark.matches ? "dark" : "light");
  dark.onchange = () => theme(dark.matches ? "dark" : "light");
  $("theme").onclick = () => theme(document.documentElement.getAttribute("data-theme") === "dark" ? "light" : "dark");
  data.benches.forEach((b, i) => $("case").append(make("option", { value: i }, `${b.suite}: ${b.case} on ${b.device}${b.threads ? `, ${b.threads} thr.` : ""}`)));
  $("benches-section").hidden = !data.benches.length;
  $("case").onchange = drawBench;
  addEventListener("resize", () => { drawCurves(); drawBench(); });
  render(); drawCards(); drawBench();
}

start();
