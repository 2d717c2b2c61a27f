// Charts that answer to the mouse: Vega draws them in the place of the pictures, which stay for print.
"use strict";

for (const figure of document.querySelectorAll("figure.chart.interactive")) {
  const place = document.createElement("div");
  const spec = JSON.parse(figure.querySelector("script").textContent);
  delete spec.usermeta; // options of a chart's own
  place.className = "view";
  figure.append(place);
  const actions = figure.classList.contains("controls") && { export: true, source: false, compiled: false, editor: false };
  // Expressions are interpreted (`ast`), since the policy of the page lets nothing be evaluated.
  vegaEmbed(place, spec, { ast: true, actions, renderer: "svg" })
    .then(() => figure.classList.add("shown"), () => place.remove());
}
