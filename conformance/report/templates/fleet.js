"use strict";
// Everything is put into the page as text, never as markup: what a gateway sent stays what it is.
const fleet = JSON.parse(document.getElementById("data").textContent);
const filters = document.getElementById("filters");
const dialog = document.getElementById("detail");

function add(parent, tag, text, css) {
  const made = parent.appendChild(document.createElement(tag));
  if (text !== undefined) made.textContent = text;
  if (css) made.className = css;
  return made;
}

function fold(parent, title, fill) {
  const details = add(parent, "details");
  add(details, "summary", title);
  fill(details);
}

function showResult(parent, result) {
  const rule = fleet.rules[result.rule];
  const section = add(parent, "section");
  const heading = add(section, "h3");
  add(heading, "span", `${fleet.marks[result.standing]} ${result.standing}`, `s inline ${fleet.css[result.standing]}`);
  add(heading, "span", ` ${result.rule} (${rule.level}) ${rule.title} · ${result.scenario}`);
  if (result.expected !== undefined) add(section, "p", `expected: ${result.expected}`);
  add(section, "p", result.expected !== undefined ? `observed: ${result.observed}` : result.observed);
  if (result.charged_to) add(section, "p", `charged to: ${result.charged_to}; failure class: ${result.failure_class}`);
  if (result.known) add(section, "p", `known: ${result.known.seen} (${result.known.failure_class}; upstream: ${result.known.issue})`);
  if (result.excerpt) fold(section, "on the wire", (into) => {
    for (const piece of result.excerpt) add(into, "pre", `${piece.t.toFixed(3)} s  ${piece.point}\n${piece.text}`);
    add(into, "p", `whole evidence, in the folder of the run: ${result.evidence}`);
  });
  if (result.cause !== undefined) fold(section, "cause, and how to see it again", (into) => {
    const cause = fleet.causes[result.cause];
    add(into, "p", `${cause.title} (${cause.failure_class}; ${cause.hop}, confidence ${cause.confidence.toFixed(2)}). ${cause.remedy}`);
    add(into, "pre", cause.reproduce.join("\n"));
  });
}

function open(cell) {
  dialog.querySelector("h2").textContent =
    `${cell.gateway} · ${cell.suite} · client ${cell.client} · backend ${cell.backend} · ${cell.revision}`;
  const body = dialog.querySelector("div");
  body.replaceChildren();
  add(body, "p", cell.driven ? `driven ${cell.driven} (UTC)` : "when it was driven is not recorded");
  for (const result of cell.results) showResult(body, result);
  dialog.showModal();
}

function apply() {
  const wanted = Object.fromEntries(new FormData(filters));
  const fits = (data, names) => names.every((name) => !wanted[name] || data[name] === wanted[name]);
  for (const item of document.querySelectorAll("#matrix [data-client]")) {
    item.hidden = item.classList.contains("client") ? !fits(item.dataset, ["client"]) : !fits(item.dataset, ["client", "suite"]);
  }
  for (const head of document.querySelectorAll("#matrix th.client")) {
    const under = document.querySelectorAll(`#matrix th[data-suite][data-client="${CSS.escape(head.dataset.client)}"]:not([hidden])`);
    head.colSpan = Math.max(1, under.length);
    head.hidden = under.length === 0;
  }
  let count = 0;
  for (const row of document.querySelectorAll("#matrix tbody tr")) {
    let any = false;
    for (const cell of row.querySelectorAll("td.cell:not([hidden])")) {
      const found = !wanted.standing || cell.dataset.standing.split("|").includes(wanted.standing);
      cell.classList.toggle("dim", !found);
      any ||= found && cell.dataset.standing !== "";
      count += found && cell.dataset.standing !== "";
    }
    row.hidden = !any || !fits(row.dataset, ["gateway", "backend", "revision"]);
    if (row.hidden) count -= [...row.querySelectorAll("td.cell:not([hidden]):not(.dim)")].filter((cell) => cell.dataset.standing).length;
  }
  document.getElementById("shown").textContent = `${count} cells`;
}

filters.addEventListener("input", apply);
filters.addEventListener("reset", () => setTimeout(apply));
document.getElementById("matrix").addEventListener("click", (event) => {
  const button = event.target.closest("button[data-cell]");
  if (button) open(fleet.cells[Number(button.dataset.cell)]);
});
apply();
