"""The page's style sheet and its one script (sorting); both go into the file itself."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --page: #f5f6f7; --paper: #ffffff; --ink: #1b1c1e;
  --muted: #5d6166; --grid: #dfe1e4; --blue: #0072b2; --sky: #56b4e9; --orange: #e69f00;
  --green: #00845f; --red: #c24e00; --pink: #b0578a; --tint: #eaf3f9; }
@media (prefers-color-scheme: dark) { :root { --page: #131517; --paper: #1c1f22; --ink: #e9eaec;
  --muted: #a3a8ae; --grid: #363b40; --blue: #4aa8dd; --sky: #8fd0f5; --orange: #f0b43c;
  --green: #35c79d; --red: #ff8a47; --pink: #e3a1c6; --tint: #1f3140; } }
@media print { :root { --page: #ffffff; --paper: #ffffff; --ink: #000000; --muted: #444444;
  --grid: #cccccc; --blue: #0072b2; --sky: #56b4e9; --orange: #e69f00; --green: #00845f;
  --red: #c24e00; --pink: #b0578a; --tint: #eef4f8; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 0 0 10px; }
h3 { font-size: 1rem; margin: 22px 0 6px; }
p { margin: 0 0 10px; max-width: 76ch; }
a { color: var(--blue); }
nav { margin: 14px 0 18px; font-size: .9rem; display: flex; flex-wrap: wrap; gap: 4px 16px; }
section, .answer { background: var(--paper); border: 1px solid var(--grid); border-radius: 10px;
  padding: 20px 22px; margin: 0 0 18px; }
.sub, figcaption, .note { color: var(--muted); font-size: .88rem; }
.sub { overflow-wrap: anywhere; }
.answer { border-left: 6px solid var(--green); }
.answer.none { border-left-color: var(--red); }
.headline { font-size: 1.1rem; max-width: none; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(148px, 1fr)); gap: 10px;
  margin: 14px 0; }
.tile { background: var(--page); border-radius: 8px; padding: 10px 12px; }
.tile b { display: block; font-size: 1.3rem; line-height: 1.25; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.tile span { display: block; font-size: .8rem; line-height: 1.3; color: var(--muted); }
.tile b + span { color: var(--ink); }
.warning { border-left: 6px solid var(--orange); }
.warning li { overflow-wrap: anywhere; }
ul { margin: 0; padding-left: 1.2em; }
li { margin: 0 0 6px; max-width: 80ch; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 5px 18px; margin: 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 26px; }
figure { margin: 0 0 12px; min-width: 0; }
figcaption { margin-top: 4px; max-width: 76ch; }
svg.figure { display: block; width: 100%; height: auto; max-width: 620px; margin: 0 auto; }
.wide svg.figure { max-width: 1080px; }
svg.figure * { stroke-linejoin: round; stroke-linecap: butt; }
svg.figure text { font-family: "DejaVu Sans", Verdana, system-ui, sans-serif !important; }
.panel { overflow-x: auto; }
.panel img { display: block; width: 100%; min-width: 560px; height: auto; border-radius: 6px; }
.scroll { overflow-x: auto; margin: 6px 0 12px; }
table { border-collapse: collapse; width: 100%; font-size: .86rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 5px 9px; white-space: nowrap;
  border-bottom: 1px solid var(--grid); }
th { font-weight: 600; vertical-align: bottom; white-space: normal; color: var(--muted); }
.n { text-align: right; }
.good { color: var(--green); font-weight: 600; }
.bad, .failed { color: var(--red); font-weight: 600; }
.pruned { color: var(--muted); }
td.wide { white-space: normal; min-width: 11em; }
td.widths { white-space: normal; min-width: 18em; max-width: 34em; }
td.widths div { padding-left: 4.8em; text-indent: -4.8em; }
.word { color: var(--muted); display: inline-block; width: 4.8em; text-indent: 0; }
tr.chosen td, tr.feasible td { background: var(--tint); }
tr.chosen td:first-child { font-weight: 700; }
th button { all: unset; cursor: pointer; }
th button:hover, th button:focus-visible { color: var(--ink); text-decoration: underline; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
.all { max-height: 75vh; overflow-y: auto; }
.all thead th { position: sticky; top: 0; background: var(--paper); z-index: 1; }
.all .scroll { overflow: visible; margin: 0; }
.all { overflow-x: auto; }
.all table { font-size: .78rem; }
.all th, .all td { padding: 3px 6px; }
pre { background: var(--page); border-radius: 8px; padding: 10px 12px; margin: 0 0 10px;
  white-space: pre-wrap; overflow-wrap: anywhere; font-size: .86rem; }
code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
@media (max-width: 760px) { main { padding: 16px 10px 40px; } .pair { grid-template-columns: 1fr; }
  section, .answer { padding: 14px 13px; } dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 8px; } .headline { font-size: 1rem; }
  .tiles { grid-template-columns: 1fr 1fr; } .tile b { font-size: 1.1rem; }
  .wide { overflow-x: auto; } .wide svg.figure { min-width: 720px; } }
@media print { body { font-size: 10pt; } main { max-width: none; padding: 0; }
  nav { display: none; }
  section, .answer { border-color: #cccccc; } figure, tr, .tile { break-inside: avoid; }
  h2, h3 { break-after: avoid; } .all { max-height: none; overflow: visible; }
  .all table { font-size: 6.3pt; } .all th, .all td { padding: 2px 3px; white-space: normal; }
  .all thead th { position: static; } td.wide, td.widths { min-width: 0; } }
"""

SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = row => {
      const cell = row.cells[column], order = cell.dataset.order;
      if (order !== undefined) return Number(order);
      return ["", "\\u2013"].includes(cell.textContent) ? null : cell.textContent;
    };
    const sorted = [...body.rows].map(row => [value(row), row]).sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);  // unknown: always last
      const sense = a < b ? -1 : a > b ? 1 : 0;
      return down ? -sense : sense;
    });
    body.append(...sorted.map(([, row]) => row));
  }));
}
"""
