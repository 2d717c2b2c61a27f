// The list of cards, and the one that is shown: in a frame that can reach neither this page nor the server.

const list = document.getElementById("cards");
const frame = document.getElementById("card");
const state = document.getElementById("state");
let shown = null;

function show(key) {
  shown = key;
  frame.hidden = false;
  frame.src = `/card/${encodeURIComponent(key)}?${Date.now()}`;
  for (const button of list.querySelectorAll("button")) {
    if (button.dataset.key === key) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

function listCards(run, cards) {
  document.getElementById("run").textContent = run || "No run yet";
  document.title = run ? `Cards of ${run}` : "Cards";
  list.replaceChildren(...cards.map(([key, task, label]) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const kind = document.createElement("small");
    kind.textContent = label;
    button.dataset.key = key;
    button.append(task, kind);
    button.addEventListener("click", () => show(key));
    item.append(button);
    return item;
  }));
  state.textContent = cards.length === 1 ? "1 card" : `${cards.length} cards`;
  if (!cards.some(([key]) => key === shown)) {
    if (cards.length) show(cards[0][0]);
    else { frame.hidden = true; shown = null; }
  } else {
    for (const button of list.querySelectorAll("button")) {
      if (button.dataset.key === shown) button.setAttribute("aria-current", "true");
    }
  }
}

addEventListener("message", (event) => {
  if (event.source === frame.contentWindow && event.data === "reload" && shown) show(shown);
});

const events = new EventSource("/events");
events.addEventListener("message", (event) => {
  const change = JSON.parse(event.data);
  if (change.cards) listCards(change.run, change.cards);
  else if (change.key === shown) frame.contentWindow.postMessage({ token: change.token, data: change.data }, "*");
});
events.addEventListener("error", () => { state.textContent = "The server does not answer; trying again."; });
