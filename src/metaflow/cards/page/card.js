// What moves on a card: sorting and large tables, enlarged images, copying, and live updates.
// A card is complete without it; everything here takes hold of what is already on the page.
"use strict";

(() => {
  const ROW = 28; // pixels, as in the style sheet
  const SPARE = 12; // rows above and below what is seen

  const order = new Intl.Collator(undefined, { numeric: true });
  const compare = (a, b) => {
    if (a === null || a === "" || b === null || b === "") return (a === null || a === "") - (b === null || b === "");
    if (typeof a === "number" && typeof b === "number") return a - b;
    return order.compare(String(a), String(b));
  };

  // Turn the headers of a table into buttons; sort(column, sign) is asked to put the rows in order.
  function makeSortable(table, sort) {
    for (const [column, header] of [...table.tHead.rows[0].cells].entries()) {
      const button = document.createElement("button");
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => {
        const ascending = header.getAttribute("aria-sort") !== "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        sort(column, ascending ? 1 : -1);
      });
    }
  }

  function smallTable(region) {
    const table = region.querySelector("table");
    if (!table.tHead) return;
    const value = (row, column) => {
      const quantity = row.cells[column]?.querySelector("data"); // "1.2 kB"
      if (quantity) return Number(quantity.value);
      const text = row.cells[column]?.textContent ?? "";
      return row.cells[column]?.classList.contains("number") && text !== "" ? Number(text) : text;
    };
    makeSortable(table, (column, sign) => {
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => sign * compare(value(a, column), value(b, column)));
      table.tBodies[0].append(...rows);
    });
  }

  function largeTable(region) {
    const data = JSON.parse(region.querySelector("script").textContent);
    const table = region.querySelector("table");
    const body = table.tBodies[0];
    const numeric = [...(body.rows[0]?.cells ?? [])].map((cell) => cell.classList.contains("number"));
    const tools = document.createElement("div");
    tools.className = "tools";
    const label = document.createElement("label");
    const input = document.createElement("input");
    const count = document.createElement("span");
    input.type = "search";
    count.className = "note";
    count.setAttribute("role", "status");
    label.append("Filter ", input);
    tools.append(label, count);
    region.before(tools);
    const isDrawn = (value) => value !== null && typeof value === "object" && "html" in value;
    const template = document.createElement("template");
    // What is read in a cell; of a component its text, which is kept, not its HTML.
    function textOf(value) {
      if (!isDrawn(value)) return value !== null && typeof value === "object" ? JSON.stringify(value) : value;
      if (value.text === undefined) {
        template.innerHTML = value.html;
        value.text = template.content.textContent;
      }
      return value.text;
    }
    let rows = data.map((_, number) => number);
    let sorted = rows;
    let first = -1;

    function cell(value, column) {
      const td = document.createElement("td");
      if (numeric[column]) td.className = "number";
      if (isDrawn(value)) td.innerHTML = value.html; // drawn by the card
      else td.textContent = textOf(value) ?? "";
      td.title = td.textContent;
      return td;
    }
    function spacer(height) {
      const row = document.createElement("tr");
      row.style.height = `${height}px`;
      row.setAttribute("aria-hidden", "true");
      return row;
    }
    function paint(force) {
      const seen = Math.ceil(region.clientHeight / ROW);
      const start = Math.max(0, Math.min(Math.floor(region.scrollTop / ROW), rows.length - seen) - SPARE);
      if (!force && Math.abs(start - first) < SPARE / 2) return;
      first = start;
      const end = Math.min(rows.length, start + seen + 2 * SPARE);
      const painted = rows.slice(start, end).map((number, offset) => {
        const row = document.createElement("tr");
        row.setAttribute("aria-rowindex", String(start + offset + 2));
        row.append(...numeric.map((_, column) => cell(data[number][column] ?? null, column)));
        return row;
      });
      body.replaceChildren(spacer(start * ROW), ...painted, spacer((rows.length - end) * ROW));
      table.setAttribute("aria-rowcount", String(rows.length + 1));
    }
    function filter() {
      const words = input.value.toLowerCase();
      const has = (value) => value !== null && String(textOf(value)).toLowerCase().includes(words);
      rows = words ? sorted.filter((number) => data[number].some(has)) : sorted;
      count.textContent = words
        ? `${rows.length.toLocaleString()} of ${data.length.toLocaleString()} rows`
        : `${data.length.toLocaleString()} rows`;
      region.scrollTop = 0;
      paint(true);
    }
    let soon = 0;
    input.addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(filter, 120); });
    region.addEventListener("scroll", () => paint(false), { passive: true });
    if (table.tHead) {
      makeSortable(table, (column, sign) => {
        sorted = [...sorted].sort((a, b) => sign * compare(textOf(data[a][column] ?? null), textOf(data[b][column] ?? null)));
        filter();
      });
    }
    filter();
  }

  // Scroll a large graph to the step that is marked; the page stays where it is.
  function bringIntoView(box) {
    const region = box.closest(".graph");
    const [inner, outer] = [box.getBoundingClientRect(), region.getBoundingClientRect()];
    region.scrollTop += inner.top - outer.top - (outer.height - inner.height) / 2;
    region.scrollLeft += inner.left - outer.left - (outer.width - inner.width) / 2;
  }

  function takeHold(root) {
    root.querySelectorAll(".table.sortable").forEach(smallTable);
    root.querySelectorAll(".table.large").forEach(largeTable);
    root.querySelectorAll(".graph .marked").forEach(bringIntoView);
  }

  document.documentElement.classList.add("scripted");
  takeHold(document);

  document.addEventListener("click", (event) => {
    const zoom = event.target.closest("button.zoom");
    if (zoom) {
      const dialog = document.createElement("dialog");
      const image = zoom.querySelector("img").cloneNode();
      dialog.setAttribute("aria-label", image.alt || "Image");
      dialog.append(image);
      dialog.addEventListener("click", () => dialog.close());
      dialog.addEventListener("close", () => dialog.remove());
      document.body.append(dialog);
      dialog.showModal();
    }
    const copy = event.target.closest("button.copy");
    if (copy) {
      // Not by navigator.clipboard, which a frame of another origin does not get.
      getSelection().selectAllChildren(copy.parentElement.querySelector("pre"));
      copy.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl-C";
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    }
  });

  // Called with the newest data of a card that is shown while its step runs: component id to component. A component of
  // which nothing is on the page yet makes the answer false: the page has to be loaded anew.
  window.metaflow_card_update = (data) => {
    let complete = true;
    for (const [id, component] of Object.entries(data ?? {})) {
      const place = document.querySelector(`[data-id="${CSS.escape(id)}"]`);
      if (!place || typeof component?.html !== "string") { complete = false; continue; }
      if (place.dataset.drawn === component.html) continue;
      const fresh = document.createElement("div");
      fresh.innerHTML = component.html; // drawn by the card, every string of a user is text in it
      const drawn = fresh.firstElementChild;
      place.previousElementSibling?.matches(".tools") && place.previousElementSibling.remove();
      place.replaceWith(drawn);
      drawn.dataset.drawn = component.html;
      takeHold(drawn);
    }
    return complete;
  };
})();
