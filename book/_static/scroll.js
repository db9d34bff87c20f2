/* What is wider than the screen scrolls by itself; a keyboard must be able to get there. */

const wide =
  ":is(table, .pst-scrollable-table-container, pre, div.math, .katex-display > .katex, .bop-figure, " +
  "div.cell_output)";

function makeReachable(node) {
  if (node.scrollWidth > node.clientWidth) node.tabIndex = 0;
  else node.removeAttribute("tabindex");
}

addEventListener("load", () => {
  /* Told when the window changes, and when a solution is unfolded: folded, it has no width. */
  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) makeReachable(target);
  });
  for (const node of document.querySelectorAll(`.bd-article ${wide}`)) observer.observe(node);
});
