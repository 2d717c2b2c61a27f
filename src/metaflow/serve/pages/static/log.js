// A log of any length: the scroll bar stands for all of it, the lines around the view are loaded, those in view are drawn.
//
// The server gives lines from a position, or from a fraction of the log. What is loaded is one block of consecutive lines,
// somewhere in a height that is estimated; it grows at its lower end by positions, and at its upper end by a fraction a
// little earlier, whose lines are fitted to the block by their content. Scrolling far away starts another block there.
// Also: searching, following a log that grows, and cards that change while their task runs.

import { localTimes } from "./page.js";

const LINE = 18, EDGE = 4000, MOST_LINES = 40_000, TALLEST = 12_000_000;
const region = document.getElementById("log-lines");

class Log {
  constructor(box) {
    this.box = box;
    this.base = new URL(box.dataset.address, location);
    this.base.searchParams.set("attempt", box.dataset.attempt);
    this.base.searchParams.set("part", "1");
    this.all = Object.assign(document.createElement("div"), { className: "all" });
    this.chunk = Object.assign(document.createElement("div"), { className: "chunk" });
    this.all.append(this.chunk);
    box.className = "log";
    box.replaceChildren(this.all);
    this.lines = [];
    this.top = 0;
    this.bytesALine = 80;
    box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    addEventListener("resize", () => this.draw());
  }

  async get(query) {
    const address = new URL(this.base);
    for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value);
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`The log cannot be read: ${answer.status}`);
    return answer.json();
  }

  async part(query) {
    const part = await this.get(query);
    const template = document.createElement("template");
    template.innerHTML = part.html;  // of our server, which escapes
    part.lines = [...template.content.querySelectorAll(".line")];
    localTimes(template.content);
    return part;
  }

  // Begin a block anew, at a position or a fraction, and show its beginning, its end, or a first line that was found.
  async start(query, view = "beginning") {
    const part = await this.part(query);
    this.lines = part.lines;
    if (view === "found") this.lines[0]?.classList.add("found");
    this.fraction = part.fraction;
    this.end = part.end;
    this.isFirst = part.fraction === 0;
    this.take(part);
    this.place();
    this.box.scrollTop = { beginning: this.top, end: this.top + this.height, found: this.top - 90 }[view];
    this.draw();
    await this.fill();
  }

  get height() { return this.lines.length * LINE; }

  take(part) {
    this.size = part.size;
    this.isLast = part.is_last;
    this.isOver = part.is_over;
    const characters = part.lines.slice(0, 200).reduce((sum, line) => sum + line.textContent.length + 40, 0);
    if (part.lines.length && this.whole === undefined) this.bytesALine = characters / Math.min(200, part.lines.length);
  }

  // Give the block its place in the whole: exactly at the ends, by its fraction elsewhere.
  place() {
    if (this.isFirst && this.isLast) this.whole = this.height;
    else this.whole ??= Math.min(TALLEST, Math.max((LINE * this.size) / this.bytesALine, this.height + 2 * EDGE));
    if (this.isFirst) this.top = 0;
    else if (this.isLast) this.top = Math.max(EDGE, this.whole - this.height);
    else this.top = Math.max(EDGE, this.fraction * this.whole);
    this.settle();
  }

  settle() {
    const end = this.top + this.height;
    if (this.isLast) this.whole = end;
    else if (end + EDGE > this.whole) this.whole = end + 4 * EDGE;
    this.all.style.height = `${this.whole}px`;
    this.box.style.height = this.isFirst && this.isLast && this.height < 560 ? `${Math.max(LINE, this.height) + 20}px` : "";
  }

  draw() {
    const first = Math.max(0, Math.floor((this.box.scrollTop - this.top) / LINE) - 20);
    const last = Math.min(this.lines.length, first + Math.ceil(this.box.clientHeight / LINE) + 40);
    if (this.from === first && this.to === last && this.drawn === this.lines && !this.isStale) return;
    [this.from, this.to, this.drawn, this.isStale] = [first, last, this.lines, false];
    this.chunk.style.top = `${this.top + first * LINE}px`;
    this.chunk.replaceChildren(...this.lines.slice(first, last));
    highlight(this.chunk);
  }

  scrolled() {
    this.isAtEnd = this.box.scrollTop + this.box.clientHeight > this.box.scrollHeight - 40;
    requestAnimationFrame(() => this.draw());
    clearTimeout(this.later);
    this.later = setTimeout(() => this.fill(), 60);
  }

  // Load what the view comes close to; one load at a time.
  async fill() {
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      for (let more = true; more;) more = await this.fillOnce();
    } catch (error) {
      document.getElementById("log-found").textContent = error.message;
    } finally {
      this.isBusy = false;
    }
  }

  async fillOnce() {
    const above = this.box.scrollTop, below = above + this.box.clientHeight, end = this.top + this.height;
    const isFar = below < this.top - 3 * EDGE || above > end + 3 * EDGE;
    if (isFar && !(this.isFirst && this.isLast)) {
      const fraction = Math.min(1, above / Math.max(1, this.whole - this.box.clientHeight));
      const part = await this.part({ fraction: fraction > 0.9999 ? this.nearEnd() : fraction });
      Object.assign(this, { lines: part.lines, fraction: part.fraction, end: part.end, isFirst: part.fraction === 0 });
      this.take(part);
      this.place();
      if (!this.isFirst && !this.isLast) { this.top = Math.max(EDGE, above); this.settle(); }
      this.draw();
      return this.lines.length > 0;
    }
    if (!this.isLast && below > end - EDGE) return this.append();
    if (!this.isFirst && above < this.top + EDGE) return this.prepend();
    return false;
  }

  nearEnd() {
    return Math.max(0, 1 - 60_000 / Math.max(60_000, this.size ?? 1));
  }

  async append() {
    const part = await this.part({ position: this.end });
    this.end = part.end;
    this.lines = this.lines.concat(part.lines);
    this.take(part);
    const extra = this.lines.length - MOST_LINES;
    if (extra > 0) {
      this.lines = this.lines.slice(extra);
      this.top += extra * LINE;
      this.isFirst = false;
      this.fraction = Math.max(0.0001, this.top / this.whole);
    }
    this.settle();
    this.draw();
    return part.lines.length > 0;
  }

  // Lines from a little earlier are fitted on where the block's first lines follow in them.
  async prepend() {
    const step = Math.min(1, 50_000 / Math.max(1, this.size));
    const part = await this.part({ fraction: Math.max(0, this.fraction - step) });
    const same = (one, other) => one.textContent === other.textContent && one.firstElementChild?.dateTime === other.firstElementChild?.dateTime;
    const at = part.lines.findLastIndex((_, index) => this.lines.slice(0, 5).every((line, offset) =>
      index + offset >= part.lines.length || same(line, part.lines[index + offset])));
    const before = at < 0 ? part.lines : part.lines.slice(0, at);
    this.lines = before.concat(this.lines).slice(0, MOST_LINES);
    if (this.lines.length === MOST_LINES) this.isLast = false;
    this.fraction = part.fraction;
    this.isFirst = part.fraction === 0;
    let top = this.top - before.length * LINE;
    if (this.isFirst || top < EDGE) {
      const wanted = this.isFirst ? 0 : 4 * EDGE;
      this.box.scrollTop += wanted - top;
      this.whole += wanted - top;
      top = wanted;
    }
    this.top = top;
    this.isStale = true;
    this.settle();
    this.draw();
    return before.length > 0;
  }

  async toEnd() {
    if (!this.isLast) await this.start({ fraction: this.nearEnd() }, "end");
    while (!this.isLast) await this.append();
    this.box.scrollTop = this.whole;
    this.draw();
  }
}

const search = document.getElementById("log-search");
const found = document.getElementById("log-found");
const follow = document.getElementById("log-follow");
const times = document.getElementById("log-times");
const marks = window.Highlight && new Highlight();
let positions = [], at = -1, text = "";
if (marks) CSS.highlights.set("found", marks);

function highlight(root) {
  marks?.clear();
  if (!marks || !text) return;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const low = node.data.toLowerCase();
    for (let index = low.indexOf(text); index >= 0; index = low.indexOf(text, index + text.length)) {
      const range = new Range();
      range.setStart(node, index);
      range.setEnd(node, Math.min(node.length, index + text.length));
      marks.add(range);
    }
  }
}

async function find(log) {
  text = String(new FormData(search).get("q")).toLowerCase();
  if (!text) { positions = []; found.textContent = ""; log.isStale = true; log.draw(); return; }
  found.textContent = "Searching";
  const answer = await log.get({ q: text });
  positions = answer.positions;
  at = -1;
  found.dataset.cut = answer.is_cut ? "more than " : "";
  if (positions.length) await go(log, 1);
  else { found.textContent = "No line has it"; log.isStale = true; log.draw(); }
}

async function go(log, by) {
  if (!positions.length) return;
  at = (at + by + positions.length) % positions.length;
  follow.checked = false;
  found.textContent = `Line ${(at + 1).toLocaleString()} of ${found.dataset.cut}${positions.length.toLocaleString()}`;
  await log.start({ position: positions[at] }, "found");
}

async function main(log) {
  times.checked = localStorage.getItem("log-times") === "on";
  const showTimes = () => region.classList.toggle("timed", times.checked);
  showTimes();
  times.addEventListener("change", () => { localStorage.setItem("log-times", times.checked ? "on" : "off"); showTimes(); });
  search.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = String(new FormData(search).get("q")).toLowerCase();
    if (wanted && wanted === text && positions.length) go(log, 1); else find(log);
  });
  addEventListener("keydown", (event) => {
    if (event.target.closest("input:not([type=checkbox]), select") || event.ctrlKey || event.metaKey || event.altKey) return;
    if ((event.key === "n" || event.key === "N") && document.getElementById("keys-on").checked) go(log, event.key === "n" ? 1 : -1);
  });
  region.addEventListener("keydown", (event) => {
    if (event.key === "End") { event.preventDefault(); log.toEnd(); }
    if (event.key === "Home") { event.preventDefault(); log.start({ position: "" }); }
  });
  follow.addEventListener("change", () => { if (follow.checked) log.toEnd(); });
  region.addEventListener("wheel", (event) => { if (event.deltaY < 0) follow.checked = false; }, { passive: true });
  await log.start({ position: "" });
  if (follow.checked) await log.toEnd();
  while (!log.isOver) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    if (document.hidden || !log.isLast || log.isBusy) { if (!document.hidden && log.end !== undefined && !log.isLast && follow.checked) await log.toEnd(); continue; }
    try {
      const wasAtEnd = log.isAtEnd ?? true;
      if (await log.append() && follow.checked && wasAtEnd) log.box.scrollTop = log.whole;
      document.getElementById("log-size").textContent = bytes(log.size);
    } catch { /* tried again in a second */ }
  }
}

// As `metaflow.cards.units.size`.
function bytes(amount) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) if (amount >= size) return `${(amount / size).toFixed(1)}\u00a0${unit}`;
  return `${amount}\u00a0B`;
}

if (region) main(new Log(region));

// Cards: each in a frame that can reach neither this page nor the server; what it shows while its task runs is handed in.

const seen = new Map();

async function renewCards() {
  for (const frame of document.querySelectorAll("iframe.card")) {
    try {
      const answer = await fetch(`${frame.getAttribute("src").split("?")[0]}/data`);
      const data = answer.ok ? await answer.json() : {};
      if (!data.data || data.created_on === seen.get(frame.src)) continue;
      seen.set(frame.src, data.created_on);
      frame.contentWindow.postMessage({ token: data.reload_token, data: data.data }, "*");
    } catch { /* tried again at the next change */ }
  }
}

addEventListener("message", (event) => {
  for (const frame of document.querySelectorAll("iframe.card")) {
    if (event.source !== frame.contentWindow) continue;
    if (event.data?.height > 0) frame.style.height = `${Math.min(1600, Math.max(80, event.data.height + 2))}px`;
    if (event.data === "reload") frame.src = `${frame.getAttribute("src").split("?")[0]}?${Date.now()}`;
  }
});

if (document.body.dataset.events) setInterval(() => { if (document.body.dataset.events && !document.hidden) renewCards(); }, 1000);
