// One tooltip for all charts: it says a mark's accessible name, on hover and on focus. Each chart is one stop of the
// tab key; within it the arrow keys go from mark to mark.
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true");
document.body.append(tip);
const say = mark => {
  tip.textContent = mark.getAttribute("aria-label");
  tip.hidden = false;
  const box = (mark.querySelector(".shape, .bar") ?? mark).getBoundingClientRect();
  const own = tip.getBoundingClientRect();
  const left = Math.min(box.left + box.width / 2 - own.width / 2, document.documentElement.clientWidth - own.width - 8);
  const above = box.top - own.height - 8;
  tip.style.left = `${Math.max(8, left) + scrollX}px`;
  tip.style.top = `${(above < 8 ? box.bottom + 8 : above) + scrollY}px`;
};
const hush = () => { tip.hidden = true; };
for (const chart of document.querySelectorAll(".chart")) {
  const marks = [...chart.querySelectorAll(".stop")];
  marks.forEach((mark, index) => { mark.tabIndex = index ? -1 : 0; });
  const of = event => event.target.closest(".stop");
  chart.addEventListener("pointerover", event => { const mark = of(event); if (mark) say(mark); });
  chart.addEventListener("pointerleave", hush);
  chart.addEventListener("focusin", event => { const mark = of(event); if (mark) say(mark); });
  chart.addEventListener("focusout", hush);
  chart.addEventListener("keydown", event => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (event.key === "Escape") hush();
    const at = marks.indexOf(document.activeElement);
    if (!step || at < 0) return;
    const next = marks[(at + step + marks.length) % marks.length];
    marks[at].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
    event.preventDefault();
  });
}

// Turns the heads of a table into buttons that sort it; without it the table keeps the order of the study.
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
