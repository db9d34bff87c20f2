/* What is wider than the screen scrolls by itself; a keyboard must be able to get there. */

const wide =
  ":is(table, .pst-scrollable-table-container, pre, div.math, .katex-display > .katex, .bop-figure, " +
  "div.cell_output)";

function makeReachable(node) {
  if (node.scrollWidth > node.clientWidth) node.tabIndex = 0;
  else node.removeAttribute("tabindex");
  showMore(node);
}

/* A table that ends at the edge looks whole: it fades where there is more to the right. */
function showMore(node) {
  const hidden = node.scrollWidth - node.clientWidth - node.scrollLeft;
  const scrolls = ["auto", "scroll"].includes(getComputedStyle(node).overflowX);
  node.classList.toggle("bop-more", scrolls && hidden > 4);
}

/* A table of sentences is too narrow for a phone. There its rows stand as blocks (bopkit.css), each cell
   under its column's name. */
function labelSentences(table) {
  const names = [...table.querySelectorAll("thead th")].map((head) => head.textContent.trim());
  const longest = Math.max(...[...table.rows].map((row) => row.textContent.length));
  if (names.length < 3 || longest < 90 || table.querySelector("thead .katex")) return;
  table.classList.add("bop-sentences");
  for (const row of table.querySelectorAll("tbody tr")) {
    const cells = [...row.cells];
    for (const cell of cells)
      cell.classList.toggle("bop-blank", ["", "–"].includes(cell.textContent.trim()));
    /* A row with its first cell alone is a heading. */
    if (row.querySelector("td:not(.bop-blank, :first-child)"))
      cells.forEach((cell, place) => (cell.dataset.column = names[place]));
  }
}

addEventListener("load", () => {
  document.querySelectorAll(".bd-article table.table").forEach(labelSentences);
  /* Told when the window changes, and when a solution is unfolded: folded, it has no width. */
  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) makeReachable(target);
  });
  for (const node of document.querySelectorAll(`.bd-article ${wide}`)) {
    observer.observe(node);
    node.addEventListener("scroll", () => showMore(node), { passive: true });
    /* A late font widens what a table holds, and not the table. */
    document.fonts.ready.then(() => makeReachable(node));
  }
});

/* Paper is white, and what the dark theme draws cannot be read on it. */
let shown;
window.addEventListener("beforeprint", () => {
  shown = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
});
window.addEventListener("afterprint", () => {
  document.documentElement.dataset.theme = shown;
});
