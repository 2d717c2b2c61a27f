// What every page does: times in the reader's zone, durations that go on, keys, copying, and parts that are renewed as
// runs change. Pages are complete without it. HTML comes from our server only, which escapes; nothing here makes any.

document.documentElement.classList.add("scripted");

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const withYear = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

function ago(date) {
  let amount = (date - Date.now()) / 1000;
  for (const [unit, size] of [["second", 60], ["minute", 60], ["hour", 24], ["day", 30], ["month", 12]]) {
    if (Math.abs(amount) < size) return relative.format(Math.round(amount), unit);
    amount /= size;
  }
  return relative.format(Math.round(amount), "year");
}

export function localTimes(root) {
  const now = new Date();
  for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const date = new Date(element.dateTime);
    element.dataset.local = "";
    if (element.closest(".line")) {
      element.textContent = clock.format(date);
      element.title = `${whole.format(date)} (${element.dateTime})`;
      continue;
    }
    const form = date.getFullYear() === now.getFullYear() ? short : withYear;
    element.textContent = date.toDateString() === now.toDateString() ? clock.format(date) : form.format(date);
    element.title = `${ago(date)}: ${whole.format(date)}, ${element.title}`;
  }
}

// As `metaflow.cards.units.duration`.
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(0, seconds).toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min ${Math.floor(seconds) % 60} s`;
}

function running(root) {
  for (const element of root.querySelectorAll("[data-since]")) {
    const seconds = (Date.now() - Number(element.dataset.since)) / 1000;
    element.textContent = seconds < 60 ? `${Math.max(0, Math.floor(seconds))} s` : duration(seconds);
  }
}

// A table that is wider than the screen is scrolled by the arrow keys, in browsers that do not see to it themselves.
function reachable(root) {
  for (const table of root.querySelectorAll(".wide")) {
    if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
    else table.removeAttribute("tabindex");
  }
}

function refreshed(root) {
  localTimes(root);
  running(root);
  reachable(root.parentElement ?? document);
}

refreshed(document);
addEventListener("resize", () => reachable(document));
setInterval(() => running(document), 1000);

// Copying.

async function copy(text, button) {
  await navigator.clipboard.writeText(text);
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.copy");
  if (button) copy(button.parentElement.querySelector("pre").textContent, button);
});

// Two runs to compare.

const compare = document.getElementById("compare");

function countChosen() {
  if (!compare || !compare.querySelector("#chosen")) return;
  const count = compare.querySelectorAll("input[name=run]:checked").length;
  compare.querySelector("#chosen").textContent = count ? `${count} chosen${count === 2 ? "" : "; choose two"}` : "";
}

if (compare) compare.addEventListener("change", countChosen);

// A filter follows what is chosen; fields that are empty stay out of the address.

const filters = document.getElementById("filters");
if (filters) {
  filters.addEventListener("submit", () => {
    for (const field of filters.elements) if (field.name && !field.value) field.disabled = true;
  });
  for (const field of filters.querySelectorAll("select, input[type=date]")) {
    field.addEventListener("change", () => filters.requestSubmit());
  }
  addEventListener("pageshow", () => { for (const field of filters.elements) field.disabled = false; });
}

// Keys.

const dialog = document.getElementById("keys");
const keysOn = document.getElementById("keys-on");
keysOn.checked = localStorage.getItem("keys") !== "off";
keysOn.addEventListener("change", () => localStorage.setItem("keys", keysOn.checked ? "on" : "off"));
document.getElementById("show-keys").addEventListener("click", () => dialog.showModal());

function moveRow(by) {
  const links = [...document.querySelectorAll("table.openable tbody tr a:first-of-type, .first-tasks tbody tr a:first-of-type")]
    .filter((link) => link.offsetParent && link.closest("tr").querySelector("a") === link);
  if (!links.length) return;
  const at = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
  const next = links[Math.min(links.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by))];
  next.focus();
  next.closest("tr").scrollIntoView({ block: "nearest" });
}

function choose() {
  const box = document.activeElement.closest("tr")?.querySelector("input[type=checkbox]");
  if (box) box.click();
}

addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (event.key === "Escape" && typing) typing.blur();
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing || dialog.open) return;
  if (event.key === "?") dialog.showModal();
  else if (!keysOn.checked) return;
  else if (document.querySelector(`[data-key="${CSS.escape(event.key)}"]`)) {
    const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (target.matches("a")) target.click();
    else { target.focus(); target.select(); }
  } else if (event.key === "j" || event.key === "k") moveRow(event.key === "j" ? 1 : -1);
  else if (event.key === "x") choose();
  else if (event.key === "y") {
    navigator.clipboard.writeText(location.href);
    document.getElementById("live").textContent = "Link copied";
  } else return;
  event.preventDefault();
});

// Parts that are renewed as runs change. The page is asked for again, and of it what differs takes its place.

const live = document.getElementById("live");
let isAsking = false, isOutdated = false;

async function renew() {
  if (isAsking) { isOutdated = true; return; }
  isAsking = true;
  const began = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.ok) replaceParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    live.textContent = "The server does not answer; trying again";
  }
  // A page that is costly to make is not asked for all the time.
  setTimeout(() => {
    isAsking = false;
    if (isOutdated) { isOutdated = false; renew(); }
  }, Math.max(300, 3 * (performance.now() - began)));
}

function replaceParts(fresh) {
  document.title = fresh.title;
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!next || part.dataset.seen === undefined) part.dataset.seen = "";
    if (!next || sources.get(part) === next.outerHTML) continue;
    const chosen = new Set([...part.querySelectorAll("input:checked")].map((box) => box.value));
    const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const source = next.outerHTML;
    part.replaceWith(next);
    sources.set(next, source);
    for (const box of next.querySelectorAll("input[type=checkbox]")) box.checked = chosen.has(box.value);
    if (focused) [...next.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
    refreshed(next);
  }
  countChosen();
  document.dispatchEvent(new CustomEvent("renewed", { detail: fresh }));
  if (!fresh.body.dataset.events) stop();
}

const sources = new WeakMap();
let stream = null;

function stop() {
  stream?.close();
  stream = null;
  live.textContent = "";
}

if (document.body.dataset.events) {
  stream = new EventSource(document.body.dataset.events);
  stream.addEventListener("open", () => { live.textContent = "Live"; renew(); });
  stream.addEventListener("message", renew);
  stream.addEventListener("error", () => { live.textContent = "The server does not answer; trying again"; });
}
