/* The plane of γ and τ for a small network: click a cell to see its run. The numbers are those that
 * bopkit.book.pictures.gamma_tau puts into the element, and none is computed here. */

import { bringToLife, curve, dots, label, move, panel } from "./kit.js";

const WEIGHTS = "4,736";
const BEST = 4; // the shade of 90 % and more

export function describe(cell, { gamma, threshold, schedule }) {
  return (
    `γ = ${gamma.text}, ${schedule.place ? "falling" : "constant"}; τ = ${threshold.text}. ` +
    `Means of five runs: ${cell.final} % of the held-out digits right at the end, ` +
    `${cell.flips} of ${WEIGHTS} weights flip in an average step.`
  );
}

/* A line over a paler one, which parts it from the cells under it. */
const drawn = (d, kind) => `<path class="halo" d="${d}"/><path class="${kind}" d="${d}"/>`;

/* The border between the cells that are good and the others. */
function border(good, count, x, y) {
  let d = "";
  for (let column = 0; column < count; column++)
    for (let row = 0; row < count; row++) {
      if (column + 1 < count && good(column, row) !== good(column + 1, row))
        d += `M${x(column + 1)} ${y(row)}V${y(row + 1)}`;
      if (row + 1 < count && good(column, row) !== good(column, row + 1))
        d += `M${x(column)} ${y(row + 1)}H${x(column + 1)}`;
    }
  return drawn(d, "border");
}

/* A step per column, at its height in cells. It leaves out the number in the middle of a cell. */
function steps(heights, x, y) {
  const piece = (height, from, to) => `M${x(from)} ${y(height)}H${x(to)}`;
  return heights
    .map((height, i) => {
      if (height === null) return "";
      if (Math.abs((height % 1) - 0.5) > 0.25) return piece(height, i, i + 1);
      return piece(height, i, i + 0.25) + piece(height, i + 0.75, i + 1);
    })
    .join("");
}

export function mount(root) {
  const { cells, lines } = JSON.parse(root.querySelector("script").textContent);
  const { form, box } = bringToLife(root, draw);
  const [gamma, threshold] = ["gamma", "threshold"].map((name) =>
    form.querySelector(`[data-name="${name}"]`),
  );
  const [gammas, thresholds] = [gamma, threshold].map((input) => JSON.parse(input.dataset.texts));
  const count = gammas.length;
  const plane = choice(box, gamma, threshold, count);

  function draw(settings, width) {
    const narrow = width < 560;
    const [left, top] = [54, 26];
    const size = narrow ? Math.floor((width - left - 6) / count) : 37;
    const [across, bottom] = [size * count, top + size * count];
    const x = (column) => left + size * column;
    const y = (row) => bottom - size * row;
    Object.assign(plane.style, {
      left: `${left}px`, top: `${top}px`, width: `${across}px`, height: `${across}px`,
    });
    const at = (column, row) => cells[2 * (count * column + row) + settings.schedule.place];
    let inside = label(left, 15, "final accuracy (%)", "start", "ink-text") + label(left - 6, 15, "τ", "end", "ink-text");
    for (let column = 0; column < count; column++)
      for (let row = 0; row < count; row++) {
        const { shown, level } = at(column, row);
        inside +=
          `<rect class="cell cell-${level}" x="${x(column)}" y="${y(row + 1)}" width="${size}" height="${size}"/>` +
          label(x(column + 0.5), y(row + 0.5) + 4, shown, "middle", level >= 2 ? "on-dark" : "on-light");
      }
    for (let i = 0; i < count; i++)
      inside +=
        label(x(i + 0.5), bottom + 16, gammas[i], "middle", "small") +
        label(left - 6, y(i + 0.5) + 4, thresholds[i], "end", "small");
    inside += label(x(count), bottom + 34, "adaptivity rate γ", "end", "ink-text");
    const { frozen, noise } = lines[settings.schedule.value];
    inside +=
      border((column, row) => at(column, row).level === BEST, count, x, y) +
      drawn(steps(frozen, x, y), "frozen") +
      drawn(steps(noise, x, y), "noise");
    const chosen = [settings.gamma.place, settings.threshold.place];
    const frame = [x(chosen[0]), y(chosen[1] + 1)];
    inside += drawn(`M${frame[0]} ${frame[1]}h${size}v${size}h${-size}Z`, "chosen");
    const last = settings.schedule.place ? "noise in m in the last epoch" : "noise in m";
    [["border", "90 % or more inside"], ["frozen", "no weight flips above"], ["noise", last]].forEach(
      ([kind, text], i) => {
        const height = bottom + 54 + 18 * i;
        inside += drawn(`M${left} ${height}h30`, kind) + label(left + 38, height + 4, text);
      },
    );
    const below = bottom + 124;
    const cell = at(...chosen);
    const charts = narrow
      ? [{ left: 34, top: below, width: width - 44 }, { left: 34, top: below + 186, width: width - 44 }]
      : [26, 222].map((start) => ({ left: x(count) + 54, top: start, width: width - x(count) - 62 }));
    inside += chart({ ...charts[0], y: [0, 103], yTicks: [0, 50, 100] }, cell.accuracy,
      "accuracy on held-out digits (%)");
    inside += chart({ ...charts[1], y: [-9.4, 0], yTicks: [-9, -6, -3, 0] }, cell.ratio,
      "πₜ, the log flip ratio; −9: no flips");
    inside += label(charts[1].left + charts[1].width, charts[1].top + 164, "epoch", "end");
    return { height: narrow ? below + 360 : bottom + 98, inside, words: describe(cell, settings) };
  }
}

function chart(box, values, title) {
  const at = panel({ ...box, height: 130, x: [0, values.length + 0.4], xTicks: [0, 4, 8, 12] });
  const epochs = values.map((_, i) => i + 1);
  return (
    label(at.left - 26, at.top - 11, title, "start", "ink-text") +
    at.frame +
    curve(at, values, "bop") +
    dots(at, epochs, values, "bop point")
  );
}

/* Another way to move two sliders: the plane under a pointer, or under the arrow keys. */
function choice(box, gamma, threshold, count) {
  const plane = document.createElement("div");
  plane.className = "bop-plane";
  plane.tabIndex = 0;
  plane.setAttribute("role", "application");
  plane.setAttribute("aria-label", "map of γ and τ: the arrow keys choose a cell");
  function choose(event) {
    const edge = plane.getBoundingClientRect();
    move(gamma, Math.floor((count * (event.clientX - edge.left)) / edge.width));
    move(threshold, Math.floor((count * (edge.bottom - event.clientY)) / edge.height));
  }
  plane.addEventListener("click", choose);
  plane.addEventListener("pointermove", (event) => {
    // a finger that moves here scrolls the page
    if (event.buttons === 1 && event.pointerType === "mouse") choose(event);
  });
  const keys = {
    ArrowLeft: [gamma, -1], ArrowRight: [gamma, 1], ArrowDown: [threshold, -1], ArrowUp: [threshold, 1],
  };
  plane.addEventListener("keydown", (event) => {
    if (!(event.key in keys)) return;
    event.preventDefault();
    const [input, by] = keys[event.key];
    move(input, Number(input.value) + by);
  });
  box.append(plane);
  return plane;
}
