/* What is wider than the screen scrolls by itself; a keyboard must be able to get there. */

function makeReachable() {
  const wide = ":is(table, pre, div.math, .katex-display > .katex, .bop-figure, div.cell_output)";
  for (const node of document.querySelectorAll(`.bd-article ${wide}`)) {
    if (node.scrollWidth > node.clientWidth) node.tabIndex = 0;
    else node.removeAttribute("tabindex");
  }
}

addEventListener("load", makeReachable);
addEventListener("resize", makeReachable);
