"""The page's style sheet and its one script: restrained, system fonts, both themes, no column wider than a phone."""

STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1c2126; --soft: #5b6570; --paper: #fff; --wash: #f5f6f7; --line: #dfe3e6;
  --c1: #0067a8; --c2: #c24e00; --c3: #7a4bb0; --c4: #00805c; --c5: #9c4373; --c6: #7d6608;
  --s0: #3b2a8c; --s1: #7a2f9e; --s2: #b03a8a; --s3: #d0505f; --s4: #dd7233; --s5: #c99700;
  --heat: 0, 103, 168; --good: #00703c; --bad: #b3261e; --warn: #8a5a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e7ea; --soft: #9ba5af; --paper: #15181c; --wash: #1d2126; --line: #333a41;
    --c1: #5ab4ee; --c2: #f59153; --c3: #bfa0ec; --c4: #3fc79a; --c5: #e79ac2; --c6: #d8bf4e;
    --s0: #8f86ef; --s1: #b988f0; --s2: #e085cf; --s3: #f58a92; --s4: #f7a76b; --s5: #f3d25c;
    --heat: 66, 150, 214; --good: #5fd39a; --bad: #ff8f85; --warn: #e9b949;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 1rem; }
body {
  margin: 0 auto; max-width: 72rem; padding: 2.5rem 1.5rem 5rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
h1, h2, h3 { line-height: 1.25; font-weight: 650; letter-spacing: -.01em; text-wrap: balance; }
h1 { font-size: 1.9rem; margin: 0 0 .25rem; }
h2 { font-size: 1.4rem; margin: 4.5rem 0 1rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 2.5rem 0 .5rem; }
h2 + h3, h2 + figure, figure > h3:first-child { margin-top: 0; }
p, li, dd { max-width: 44rem; }
p { margin: 0 0 1rem; }
a { color: var(--c1); text-underline-offset: .15em; }
code, pre { font: .85em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.soft, figcaption, .facts { color: var(--soft); font-size: .9rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 1rem 0 0; font-size: .92rem; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
figure { margin: 1.5rem 0 3rem; }
figcaption { max-width: 44rem; margin-top: .75rem; }
.lead { font-size: 1.22rem; line-height: 1.6; max-width: 48rem; }
.lead b { font-weight: 700; white-space: nowrap; }
.ci { white-space: nowrap; color: var(--soft); font-size: .85em; }
.caveats { padding-left: 1.2rem; margin: 0 0 1.5rem; }
.caveats li { margin: .35rem 0; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.2rem; margin: .75rem 0; font-size: .88rem; }
.legend span { display: inline-flex; align-items: center; gap: .45rem; }
.legend i, .legend svg { flex: none; }
.legend i { width: .8rem; height: .8rem; border-radius: 2px; background: var(--c); }
.legend .key { width: 2.1rem; height: .8rem; }
.legend .mark { width: .9rem; height: .9rem; overflow: visible; }

.ladder { font-size: .92rem; max-width: 58rem; font-variant-numeric: tabular-nums; }
.rung { display: grid; grid-template-columns: 10rem minmax(0, 1fr) 3.2rem; column-gap: 1.1rem; align-items: center; }
.rung:nth-child(odd) { background: var(--wash); }
.rung .name { padding-left: .6rem; overflow-wrap: anywhere; }
.rung svg { display: block; width: 100%; overflow: visible; }
.rung .values { font-size: .78rem; text-align: right; padding-right: .6rem; }
.rung .values span { display: block; white-space: nowrap; height: 15px; line-height: 15px; color: var(--c); }
.rung.axis { background: none; }
.rung.axis svg text { font-size: .78rem; fill: var(--soft); }
.m0 { --c: var(--soft); } .m1 { --c: var(--c1); } .m2 { --c: var(--c2); } .m3 { --c: var(--c3); }
.m4 { --c: var(--c4); } .m5 { --c: var(--c5); } .m6 { --c: var(--c6); }
.m0 { stroke-dasharray: none; }
.mark line, .mark path, .mark circle { stroke: var(--c); stroke-width: 1.6; fill: var(--c); }
.m0.mark circle { fill: var(--paper); }
.gridline { stroke: currentColor; opacity: .13; }

.kept { max-width: 58rem; font-size: .92rem; font-variant-numeric: tabular-nums; }
.kept .rung { grid-template-columns: 18rem minmax(0, 1fr) 4rem; }
.kept rect { fill: var(--c1); opacity: .75; }
.kept .whisker { stroke: currentColor; stroke-width: 1.4; }
.kept .values { font-size: .88rem; }
@media (max-width: 40rem) { .kept .rung { grid-template-columns: minmax(0, 1fr) 4rem; } }
.scroll { overflow-x: auto; -webkit-overflow-scrolling: touch; }
.tall { max-height: 34rem; overflow-y: auto; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .38rem .7rem; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
td.n, th.n { text-align: right; }
.tall table { width: 100%; border-collapse: separate; border-spacing: 0; font-size: .83rem; }
.tall th, .tall td { padding: .34rem .45rem; }
.tall .bar { width: 3.5rem; }
.scroll + p, .maps + p { margin-top: .9rem; }
.tall tr:last-child td { border-bottom: 0; }
.tall thead th { position: sticky; top: 0; background: var(--wash); box-shadow: 0 1px var(--line); border: 0;
  z-index: 1; }
th button { all: unset; cursor: pointer; position: relative; }
th button:focus-visible { outline: 2px solid var(--c1); outline-offset: 2px; }
th button::after { content: ""; position: absolute; right: -.85em; color: var(--soft); }
th[aria-sort=ascending] button::after { content: "↑"; }
th[aria-sort=descending] button::after { content: "↓"; }
.bar { display: inline-block; position: relative; width: 5rem; height: .8rem; margin-right: .6rem;
  vertical-align: -.08rem;
  background: rgba(var(--heat), .12); border-radius: 2px; }
.bar i, .bar b { position: absolute; top: 0; bottom: 0; border-radius: 2px; }
.bar i { left: 0; background: rgba(var(--heat), .5); }
.bar b { top: 40%; bottom: 40%; background: var(--ink); opacity: .75; }
.maps { display: flex; flex-wrap: wrap; gap: 2rem 3rem; }
.maps > div { max-width: 100%; }
.maps h3 { margin-top: 0; overflow-wrap: anywhere; }
.heat td, .heat th { padding: .38rem .45rem; }
.heat td { text-align: center; min-width: 3rem; border: 2px solid var(--paper);
  background: rgba(var(--heat), var(--a)); }
.heat td.empty { background: none; color: var(--soft); opacity: .5; }
.heat th { border: 0; font-weight: 500; }
.heat thead th { text-align: center; color: var(--soft); }
.heat tbody th { padding-left: 0; }
.tall .heat tbody th { padding-left: .6rem; }

.status { white-space: nowrap; color: var(--soft); }
.status.pass { color: var(--good); } .status.warn { color: var(--warn); } .status.fail { color: var(--bad); }
.status { font-weight: 400; } .status.warn, .status.fail { font-weight: 600; }
.tally { font-size: .9rem; font-variant-numeric: tabular-nums; } .tally .status { margin-right: .8rem; }
.note { font-size: .9rem; font-weight: 400; }
.lead .note, .caveats .note { display: block; line-height: 1.5; margin-top: .25rem; } .lead .note { font-size: 1rem; }
.note.fail { color: var(--bad); } .note.warn { color: var(--warn); }
.doubted, .doubted b { color: var(--soft); font-weight: 400; }
.doubted rect { fill: var(--soft); opacity: .35; }
.doubted .bar i, .doubted .bar b { background: var(--soft); opacity: .4; }
.faded { opacity: .4; stroke-dasharray: 2 2; }
.heat td.doubted { color: var(--soft);
  background: repeating-linear-gradient(135deg, var(--line) 0 2px, var(--paper) 2px 6px); }
.family > summary { padding: .45rem 0; border-bottom: 1px solid var(--line); }
.family > summary .soft { font-weight: 400; margin: 0 .8rem 0 .4rem; }
.family .scroll { margin: .5rem 0 1.5rem; }
.family table { width: 100%; max-width: 58rem; }
.family th:nth-child(2) { width: 40%; }
.checks .told td { border-bottom: 0; }
.checks .findings td { white-space: normal; padding-top: 0; }
.checks .findings ul { margin: 0; padding: 0; list-style: none; }
.checks .findings li { margin: 0 0 .4rem; max-width: min(46rem, calc(100vw - 9rem)); }
.checks .findings code { display: block; color: var(--soft); overflow-wrap: anywhere; }
.checks .findings details { margin: .1rem 0 .3rem; } .checks .findings summary { font-weight: 400; }
.rankings { display: flex; flex-wrap: wrap; gap: 2rem 3rem; margin: 1.5rem 0; }
.ranking { max-width: 100%; } .ranking h3 { margin-top: 0; } .ranking details { margin: .6rem 0; font-size: .88rem; }
.ranking .bar { width: 3.5rem; margin: 0; }
.matrix th, .matrix td { padding: .3rem .45rem; } .matrix td { color: var(--soft); }
.matrix td.won { color: var(--ink); font-weight: 600; background: rgba(var(--heat), .12); }
.matrix td.doubted { color: var(--soft); font-weight: 400; background: none; }
.worst thead tr:first-child th { color: var(--soft); font-weight: 400; border: 0; padding-bottom: 0; }
.worst + p, .scroll + .soft { margin-top: .6rem; }

.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1.5rem 2rem; }
.plots h4 { margin: 0 0 .25rem; font-size: .92rem; font-weight: 600; }
.plot { display: block; width: 100%; max-width: 26rem; height: auto; }
.plot.wide { max-width: 44rem; }
.plot text, .graph text { font-family: inherit; }

.claims td { white-space: normal; min-width: 9rem; vertical-align: top; }
.claims .note { display: block; }
.claims td:last-child { white-space: nowrap; font-weight: 600; min-width: 0; }
.right { color: var(--good); } .wrong { color: var(--bad); }
.pictures { display: grid; gap: .9rem .6rem; max-width: 56rem;
  grid-template-columns: repeat(var(--n), minmax(0, 1fr)); }
.pictures .head { font-size: .82rem; font-weight: 600; align-self: end; overflow-wrap: anywhere; line-height: 1.3; }
.pictures .of { grid-column: 1 / -1; font-size: .8rem; color: var(--soft); margin-bottom: -.5rem; }
.pictures img, .sheet { display: block; width: 100%; image-rendering: pixelated; border-radius: 3px; }
.pictures p { margin: .25rem 0 0; font-size: .78rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.pictures p span + span::before { content: "· "; }
.right { color: var(--good); } .wrong { color: var(--bad); }
.sheet { max-width: 26rem; }

.graph { display: block; width: 100%; height: auto; }
.graph.upright { display: none; margin: 0 auto; }
.graph rect { fill: var(--wash); stroke: var(--soft); stroke-width: 1; }
.graph text { fill: var(--ink); text-anchor: middle; font-size: 14px; }
.graph .count { fill: var(--soft); font-size: 12px; }
.graph path { fill: none; stroke: var(--soft); stroke-width: 1.2; }
details { margin: 1rem 0; }
summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; background: var(--wash); padding: 1rem; border-radius: 6px; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .5rem 1.5rem; font-size: .92rem;
  margin: 0; }
dt { font-weight: 600; } dd { margin: 0; }

@media (max-width: 40rem) {
  body { padding: 1.5rem 1rem 4rem; }
  h1 { font-size: 1.55rem; }
  h2 { margin-top: 3.25rem; }
  .lead { font-size: 1.08rem; }
  .rung { grid-template-columns: minmax(0, 1fr) 2.7rem; row-gap: 0; }
  .rung .name { grid-column: 1 / -1; padding-top: .35rem; }
  .rung svg { padding: 0; margin-left: .6rem; width: calc(100% - .6rem); }
  .claims thead { display: none; }
  .claims tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .claims td { display: block; padding: .1rem 0; border: 0; }
  .pictures { gap: .7rem .35rem; }
  .pictures .head { font-size: .66rem; letter-spacing: -.02em; }
  .pictures p { font-size: .68rem; }
  .pictures p span { display: block; }
  .pictures p span + span::before { content: none; }
  .graph.along { display: none; }
  .graph.upright { display: block; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .7rem; }
}
@media print { .tall { max-height: none; } nav { display: none; } h2 { break-after: avoid;
  } figure { break-inside: avoid; } }
"""

# Turns the heads of a table into buttons that sort it; without it the table stands in the order of the study.
SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = row => row.cells[column].dataset.v ?? row.cells[column].textContent;
      const order = (a, b) => key(a).localeCompare(key(b), "en", {numeric: true});
      const numbers = (a, b) => parseFloat(key(a)) - parseFloat(key(b));
      const rows = [...body.rows];
      rows.sort(head.classList.contains("n") ? numbers : order);
      if (down) rows.reverse();
      body.append(...rows);
    });
  });
}
"""
