// The tasks of a run, of which there may be ten thousand: a list in which only the rows that are seen exist, and a grid on a
// canvas. Both show what the filter lets through, in the order of the table: what needs a look first.

import { duration } from "./page.js";

const views = document.getElementById("task-views");
const form = document.getElementById("task-filter");
const count = document.getElementById("task-count");
const ROW = 32, CELL = 14, GAP = 2;
let table, shown = [], view = "list", chosen = -1;

function read() {
  table = JSON.parse(document.getElementById("task-data").textContent);
  table.path = table.id.map((id, at) => `${table.steps[table.step[at]]}/${id}`);
  table.named = table.path.map((path, at) => `${path} ${table.item[at]}`.toLowerCase());
  const began = Number(views.dataset.began) - table.base;
  const ends = table.ended.map((end, at) => end ?? table.started[at] ?? 0);
  table.began = began;
  table.length = Math.max(1, ends.reduce((most, end) => Math.max(most, end), 0) - began);
}

const address = (at) => `${views.dataset.base}/${table.path[at].split("/").map(encodeURIComponent).join("/")}`;
const state = (at) => table.states[table.state[at]];

function took(at) {
  const began = table.started[at];
  if (began === null) return "";
  const isRunning = table.ended[at] === null && state(at) === "running";
  if (table.ended[at] === null && !isRunning) return "";
  return duration((isRunning ? Date.now() - table.base - began : table.ended[at] - began) / 1000);
}

function filter() {
  const fields = new FormData(form);
  const words = String(fields.get("q")).toLowerCase().split(/\s+/).filter(Boolean);
  const step = fields.get("step") ? table.steps.indexOf(fields.get("step")) : null;
  const wanted = fields.get("state") ? table.states.indexOf(fields.get("state")) : null;
  const keep = chosen >= 0 ? table.path[shown[chosen]] : null;
  shown = [];
  for (let at = 0; at < table.id.length; at++) {
    if ((step === null || table.step[at] === step) && (wanted === null || table.state[at] === wanted)
        && words.every((word) => table.named[at].includes(word))) shown.push(at);
  }
  chosen = keep === null ? -1 : shown.findIndex((at) => table.path[at] === keep);
  const [some, all] = [shown.length.toLocaleString(), table.id.length.toLocaleString()];
  count.textContent = some === all ? `${all} ${all === "1" ? "task" : "tasks"}` : `${some} of ${all} tasks`;
  draw();
}

function remember() {
  const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  if (view === "grid") query.set("view", view);
  history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`);
}

// The list.

const list = document.createElement("div");
list.className = "rows";
list.tabIndex = 0;
list.setAttribute("role", "grid");
list.setAttribute("aria-label", "Tasks, what needs a look first");
const all = document.createElement("div");
all.className = "all";
all.setAttribute("role", "rowgroup");
list.append(all);
const pool = [];

function row() {
  const line = document.createElement("div");
  line.className = "line";
  line.setAttribute("role", "row");
  line.innerHTML = '<span role="gridcell" class="state"><svg class="icon" aria-hidden="true"><use/></svg><span class="word"></span></span>'
    + '<span role="gridcell" class="name"><a tabindex="-1"></a> <small class="soft"></small></span><span role="gridcell" class="item"></span>'
    + '<span role="gridcell" class="number"></span><span role="gridcell" class="when"><i></i></span>';
  return line;
}

function fill(line, position) {
  const at = shown[position], name = state(at);
  line.style.transform = `translateY(${position * ROW}px)`;
  line.setAttribute("aria-rowindex", position + 1);
  line.id = `task-${position}`;
  line.dataset.position = position;
  line.classList.toggle("chosen", position === chosen);
  const [sign, task, item, length, when] = line.children;
  sign.className = `state ${name}`;
  sign.querySelector("use").setAttribute("href", `#i-${name}`);
  sign.querySelector(".word").textContent = name;
  task.firstElementChild.textContent = table.path[at];
  task.firstElementChild.href = address(at);
  task.lastElementChild.textContent = table.attempts[at] > 1 ? `attempt ${table.attempts[at]}` : "";
  item.textContent = item.title = table.item[at];
  length.textContent = took(at);
  const bar = when.firstElementChild;
  const began = table.started[at];
  bar.className = name;
  bar.hidden = began === null;
  bar.style.left = `${(100 * (began - table.began)) / table.length}%`;
  const end = table.ended[at] ?? (name === "running" ? table.began + table.length : began);
  bar.style.width = `${Math.max(0.3, (100 * (end - began)) / table.length)}%`;
}

function drawList() {
  all.style.height = `${shown.length * ROW}px`;
  list.setAttribute("aria-rowcount", shown.length);
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 6);
  const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 6);
  // A row that stays keeps its element: only those that come are filled.
  const free = pool.filter((line) => line.position === undefined || line.position < first || line.position >= last);
  const there = new Map(pool.filter((line) => !free.includes(line)).map((line) => [line.position, line]));
  for (let position = first; position < last; position++) {
    let line = there.get(position);
    if (line && !isStale) continue;
    if (!line) {
      line = free.pop() ?? row();
      if (!line.isConnected) { pool.push(line); all.append(line); }
    }
    line.hidden = false;
    line.position = position;
    fill(line, position);
  }
  for (const line of free) { line.hidden = true; line.position = undefined; }
  isStale = false;
}

let isStale = false, isDue = false;

function soon() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => { isDue = false; if (view === "list") drawList(); });
}

list.addEventListener("scroll", soon, { passive: true });

// The grid: a cell for each task; its state is a shape as well as a colour.

const grid = document.createElement("div");
const canvas = document.createElement("canvas");
const told = document.createElement("p");
canvas.className = "cells";
canvas.tabIndex = 0;
canvas.setAttribute("role", "img");
told.className = "told soft";
told.setAttribute("role", "status");
told.textContent = "Point at a cell, or move with the arrow keys; Enter opens the task.";
const box = document.createElement("div");
box.className = "cells-box";
box.append(canvas);
grid.append(box, told);
let columns = 1;

function drawGrid() {
  const scale = devicePixelRatio || 1, size = CELL + GAP, width = Math.max(200, box.clientWidth);
  columns = Math.max(1, Math.floor((width - GAP) / size));
  const height = Math.max(1, Math.ceil(shown.length / columns)) * size + GAP;
  canvas.width = width * scale;
  canvas.height = height * scale;
  canvas.style.height = `${height}px`;
  const style = getComputedStyle(document.documentElement), pen = canvas.getContext("2d");
  const ink = (name) => style.getPropertyValue(name).trim();
  const paint = { successful: [ink("--good-ground"), ink("--good")], failed: [ink("--bad"), ink("--ground")], lost: [ink("--bad"), ink("--ground")],
    running: [ink("--run-ground"), ink("--accent")], caught: [ink("--warn-ground"), ink("--warn")] };
  pen.scale(scale, scale);
  const names = table.states;
  shown.forEach((at, position) => {
    const x = GAP + (position % columns) * size, y = GAP + Math.floor(position / columns) * size;
    const [ground, line] = paint[names[table.state[at]]];
    pen.fillStyle = ground;
    pen.fillRect(x, y, CELL, CELL);
    pen.strokeStyle = line;
    pen.lineWidth = 1.5;
    pen.beginPath();
    mark(pen, names[table.state[at]], x, y);
    pen.stroke();
    if (position === chosen) {
      pen.strokeStyle = ink("--ink");
      pen.lineWidth = 2;
      pen.strokeRect(x - 1, y - 1, CELL + 2, CELL + 2);
    }
  });
  const counts = new Map();
  for (const at of shown) counts.set(state(at), (counts.get(state(at)) ?? 0) + 1);
  canvas.setAttribute("aria-label", `Tasks: ${[...counts].map(([name, many]) => `${many} ${name}`).join(", ") || "none"}. The list has them by name.`);
}

function mark(pen, name, x, y) {
  const [low, high, middle] = [4, CELL - 4, CELL / 2];
  if (name === "failed") { pen.moveTo(x + low, y + low); pen.lineTo(x + high, y + high); pen.moveTo(x + high, y + low); pen.lineTo(x + low, y + high); }
  else if (name === "lost") { pen.moveTo(x + low, y + middle); pen.lineTo(x + high, y + middle); }
  else if (name === "running") pen.arc(x + middle, y + middle, 3, 0, 5);
  else if (name === "caught") { pen.moveTo(x + middle, y + low); pen.lineTo(x + high, y + high); pen.lineTo(x + low, y + high); pen.closePath(); }
  else { pen.moveTo(x + low, y + middle); pen.lineTo(x + middle - 1, y + high - 1); pen.lineTo(x + high, y + low); }
}

function cellAt(event) {
  const box = canvas.getBoundingClientRect(), size = CELL + GAP;
  const column = Math.floor((event.clientX - box.left - GAP) / size), line = Math.floor((event.clientY - box.top - GAP) / size);
  const position = line * columns + column;
  return column >= 0 && column < columns && position >= 0 && position < shown.length ? position : -1;
}

function tell(position) {
  const at = shown[position];
  if (at === undefined) return;
  told.textContent = `${table.path[at]} ${table.item[at]}: ${state(at)}${took(at) ? `, ${took(at)}` : ""}`;
}

canvas.addEventListener("pointermove", (event) => { const position = cellAt(event); if (position >= 0) tell(position); });
canvas.addEventListener("click", (event) => { const position = cellAt(event); if (position >= 0) location.href = address(shown[position]); });

// What list and grid have in common: the chosen task, keys, the choice between the two.

function choose(position) {
  chosen = Math.min(shown.length - 1, Math.max(0, position));
  if (view === "grid") {
    drawGrid();
    tell(chosen);
    const top = Math.floor(chosen / columns) * (CELL + GAP);
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + 2 * CELL > box.scrollTop + box.clientHeight) box.scrollTop = top + 2 * CELL - box.clientHeight;
    return;
  }
  const top = chosen * ROW;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  isStale = true;
  drawList();
  list.setAttribute("aria-activedescendant", `task-${chosen}`);
}

function steer(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !shown.length) return;
  const page = view === "grid" ? columns * 10 : Math.floor(list.clientHeight / ROW) - 1;
  const line = view === "grid" ? columns : 1;
  const moves = { ArrowDown: line, ArrowUp: -line, j: 1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
  if (view === "grid") Object.assign(moves, { ArrowRight: 1, ArrowLeft: -1 });
  if (event.key in moves) choose(chosen < 0 && moves[event.key] < Infinity ? 0 : chosen + moves[event.key]);
  else if (event.key === "Enter" && chosen >= 0 && event.target.tagName !== "A") location.href = address(shown[chosen]);
  else return;
  event.preventDefault();
}

list.addEventListener("keydown", steer);
canvas.addEventListener("keydown", steer);

function draw() {
  list.hidden = view !== "list";
  grid.hidden = view !== "grid";
  for (const button of form.parentElement.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", button.dataset.view === view);
  isStale = true;
  list.style.height = shown.length * ROW < 500 ? `${Math.max(1, shown.length) * ROW + 2}px` : "";
  if (view === "list") drawList(); else drawGrid();
}

for (const button of form.parentElement.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => { view = button.dataset.view; draw(); remember(); });
}
form.addEventListener("input", () => { list.scrollTop = 0; chosen = -1; filter(); remember(); });
form.addEventListener("submit", (event) => { event.preventDefault(); (view === "list" ? list : canvas).focus(); });
document.addEventListener("renewed", () => { read(); filter(); });
addEventListener("resize", () => draw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
setInterval(() => { if (document.body.dataset.events) { isStale = true; soon(); } }, 1000);

read();
view = new URLSearchParams(location.search).get("view") === "grid" ? "grid" : "list";
for (const element of views.querySelectorAll(".first-tasks")) element.remove();
views.append(list, grid);
filter();
