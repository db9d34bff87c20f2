/* The first picture of the book: Bop and latent SGD on the same stream of gradients, and on 200
 * others. Its numbers are those of bopkit.book.pictures.two_rules. */

import {
  addNoise, bop, latentSgd, normals, one, score, sum, tenths, times, turningMean,
} from "./rules.js";
import {
  bringToLife, button, curve, dots, flipSteps, handle, label, panel, staircase, verticals,
  weightOverIdeal,
} from "./kit.js";

const STEPS = 300;
const DRAWS = 200;
const STRENGTH = 0.4;
const SEED = 1;
const MEAN = turningMean(STRENGTH, STEPS);

// Both rules on the same gradients: noise · z around the turning mean; z is (steps, draws).
export function compute(z, { gamma, threshold, learning_rate, noise }) {
  const gradients = addNoise(MEAN, noise, z);
  const draws = z.length / STEPS;
  const mine = bop(gradients, draws, { gamma, threshold });
  const theirs = latentSgd(gradients, draws, { rate: learning_rate, clip: 1 });
  return [mine, theirs].map(({ weights, averages, latents }) => ({
    weights,
    real: averages ?? latents,
    gradients,
    ...score(weights, MEAN),
  }));
}

// Of one stream, and the means of all.
function tell({ flips, wrong }) {
  const count = flips.length;
  return {
    stream: `${times(flips[0])}, wrong ${tenths(100 * wrong[0], STEPS)} % of the time`,
    cloud: `${tenths(sum(flips), count)} flips, wrong ${tenths(100 * sum(wrong), count * STEPS)} %`,
  };
}

export function describe(results, settings) {
  const [mine, theirs] = results.map(tell);
  const { gamma, threshold, learning_rate, noise } = settings;
  return (
    `γ = ${gamma.text}, τ = ${threshold.text}, η = ${learning_rate.text}, noise ${noise.text}. ` +
    `On this stream Bop: ${mine.stream}; latent SGD: ${theirs.stream}. ` +
    `Means of ${DRAWS} streams: Bop ${mine.cloud}; latent SGD ${theirs.cloud}.`
  );
}

/* One rule: its real number above, its weight below. */
function course(result, box, { y, yTicks, kind, name, real, last }) {
  const draws = result.flips.length;
  const weights = one(result.weights, draws);
  const x = [0, STEPS];
  const main = panel({ ...box, x, y, yTicks });
  const below = { ...box, top: box.top + box.height + 9, height: 24 };
  const steps = [0, 100, 200, 300];
  const line = panel({ ...below, x, y: [-1.25, 1.25], xTicks: last ? steps : [] });
  const flips = flipSteps(weights, -1);
  const inside =
    label(box.left, box.top - 8, `<tspan class="${kind}-text">${name}</tspan> ${real}`) +
    main.frame +
    (last ? line.frame : "") +
    verticals(main, flips, kind) +
    verticals(line, flips, kind) +
    weightOverIdeal(line, weights, MEAN, kind);
  return { main, line, weights, flips, inside };
}

/* All streams as points: how long each weight was wrong, and how often it flipped. */
function cloud(results, box) {
  const log = (count) => Math.log10(1 + count);
  const at = panel({
    ...box,
    x: [0, log(STEPS)],
    y: [-0.05, log(150)],
    xTicks: [1, 3, 10, 30].map((percent) => [log((STEPS * percent) / 100), `${percent} %`]),
    yTicks: [0, 1, 3, 10, 30, 100].map((value) => [log(value), value]),
  });
  const kinds = ["bop", "latent"];
  let inside = at.frame + `<path class="aim" d="M${at.left} ${at.y(log(3))}H${at.right}"/>`;
  results.forEach(({ flips, wrong }, i) => {
    inside += dots(at, [...wrong].map(log), [...flips].map(log), `${kinds[i]} cloud`);
  });
  results.forEach(({ flips, wrong }, i) => {
    const middle = [wrong, flips].map((counts) => log(sum(counts) / counts.length));
    inside += `<circle class="${kinds[i]}-mean" cx="${at.x(middle[0])}" cy="${at.y(middle[1])}" r="6"/>`;
  });
  return inside + label(at.right, at.bottom + 34, "share of time on the wrong side", "end");
}

export function mount(root) {
  root.classList.add("bop-told");
  let seed = SEED;
  let z = normals(STEPS * DRAWS, seed);
  const { form, box, show } = bringToLife(root, draw);
  const place = handle(box, form.querySelector('[data-name="threshold"]'), "threshold τ, in the picture");
  button(form, "New noise", () => {
    seed += 1;
    z = normals(STEPS * DRAWS, seed);
    show();
  });

  function draw(settings, width) {
    const values = Object.fromEntries(Object.entries(settings).map(([key, { value }]) => [key, value]));
    const results = compute(z, values);
    const [mine, theirs] = results;
    const narrow = width < 560;
    const left = 28;
    const across = (narrow ? width : Math.round(width * 0.63)) - left - 28;
    const first = course(mine, { left, top: 24, width: across, height: 136 }, {
      y: [-2, 2], yTicks: [-1, 0, 1], kind: "bop", name: "Bop:",
      real: `the average m; ${times(mine.flips[0])}`,
    });
    const second = course(theirs, { left, top: 226, width: across, height: 74 }, {
      y: [-1.1, 1.1], yTicks: [-1, 0, 1], kind: "latent", name: "Latent SGD:",
      real: `the latent weight w̃; ${times(theirs.flips[0])}`, last: true,
    });
    const steps = MEAN.map((_, step) => step + 1);
    const seen = one(mine.gradients, DRAWS).map((g) => Math.min(Math.max(g, -1.95), 1.95));
    const tau = values.threshold;
    const edges = [-1, ...first.weights].slice(0, -1).map((w) => w * tau);
    const levels = [tau, -tau].map((value) => first.main.y(value));
    place({
      left,
      right: first.main.right,
      lines: levels,
      toValue: (pixels) => Math.abs(first.main.valueAt(pixels)),
    });
    const traces =
      dots(first.main, steps, seen, "gradient") +
      levels.map((y) => `<path class="threshold faint" d="M${left} ${y}H${first.main.right}"/>`).join("") +
      staircase(first.main, edges, "threshold") +
      curve(first.main, one(mine.real, DRAWS), "bop") +
      curve(second.main, one(theirs.real, DRAWS), "latent");
    const side = narrow
      ? { left: 34, top: 440, width: width - 44, height: 170 }
      : { left: left + across + 72, top: 84, width: width - left - across - 82, height: 249 };
    const told = results.map(tell);
    const head = narrow ? [left, 378] : [side.left - 30, 16];
    const scores =
      label(...head, `The means of ${DRAWS} streams`, "start", "strong") +
      label(head[0], head[1] + 19, `Bop: ${told[0].cloud}`, "start", "bop-text") +
      label(head[0], head[1] + 37, `Latent SGD: ${told[1].cloud}`, "start", "latent-text");
    return {
      height: narrow ? 650 : 368,
      inside:
        first.inside + second.inside + traces + scores + cloud(results, side) +
        label(side.left - 30, side.top - 12, "flips") +
        label(left + across, second.line.bottom + 34, "step", "end"),
      words: describe(results, settings),
    };
  }
}
