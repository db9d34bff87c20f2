/* Four ways to move a binary weight, on the same streams of gradients: Bop and three latent
 * optimizers. The numbers are those of bopkit.book.pictures.signals. */

import {
  addNoise, bop, latentAdam, latentMomentum, latentSgd, normals, one, score, sum, tenths, times,
  turningMean,
} from "./rules.js";
import {
  bringToLife, button, curve, dots, flipSteps, handle, label, panel, staircase, verticals,
  weightOverIdeal,
} from "./kit.js";

const STEPS = 300;
const DRAWS = 200;
const SEED = 1;
const METHODS = ["Bop", "latent SGD", "latent momentum", "latent Adam"];

// The four methods on the same gradients: noise · z around the turning mean; z is (steps, draws).
export function compute(z, { strength, noise, gamma, threshold, learning_rate }) {
  const mean = turningMean(strength, STEPS);
  const gradients = addNoise(mean, noise, z);
  const draws = z.length / STEPS;
  const latent = { rate: learning_rate, clip: 1 };
  return [
    bop(gradients, draws, { gamma, threshold }),
    latentSgd(gradients, draws, latent),
    latentMomentum(gradients, draws, latent),
    latentAdam(gradients, draws, latent),
  ].map(({ weights, averages, latents }) => ({
    weights,
    real: averages ?? latents,
    gradients,
    ...score(weights, mean),
  }));
}

// Flips and the share of time on the wrong side: of the first stream, and of all.
function tell({ flips, wrong }) {
  const count = flips.length;
  return [
    [flips[0], tenths(100 * wrong[0], STEPS)],
    [tenths(sum(flips), count), tenths(100 * sum(wrong), count * STEPS)],
  ];
}

export function describe(results, { strength, noise, gamma, threshold, learning_rate }) {
  const told = results.map(tell);
  const [here, all] = [0, 1].map((which) =>
    told.map((numbers, i) => `${METHODS[i]} ${numbers[which][0]}, ${numbers[which][1]} %`).join("; "),
  );
  return (
    `Mean ±${strength.text}, noise ${noise.text}, γ = ${gamma.text}, τ = ${threshold.text}, ` +
    `η = ${learning_rate.text}. Flips, and share of steps on the wrong side, on this stream: ` +
    `${here}. Means of ${DRAWS} streams: ${all}.`
  );
}

/* One method: its numbers, and its weight on the first stream below them. */
function strip(result, mean, box, { name, kind, narrow, last }) {
  const [[flips, wrong], [meanFlips, share]] = tell(result);
  const weights = one(result.weights, result.flips.length);
  const top = box.top + (narrow ? 39 : 22);
  const xTicks = last ? [0, 100, 200, 300] : [];
  const at = panel({ ...box, top, height: 22, x: [0, STEPS], y: [-1.3, 1.3], xTicks });
  const title = `<tspan class="${kind}-text">${name[0].toUpperCase()}${name.slice(1)}:</tspan>`;
  const all = `${DRAWS} streams: ${meanFlips} flips, wrong ${share} %`;
  return (
    label(at.left, box.top + 15, `${title} ${times(flips)}, wrong ${wrong} % of the time`) +
    (narrow ? label(at.left, box.top + 32, all) : label(at.right, box.top + 15, all, "end")) +
    (last ? at.frame + label(at.right, at.bottom + 34, "step", "end") : "") +
    verticals(at, flipSteps(weights, -1), kind) +
    weightOverIdeal(at, weights, mean, kind)
  );
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
    const mean = turningMean(values.strength, STEPS);
    const narrow = width < 560;
    const left = 28;
    const across = width - left - 28;
    const at = panel({
      left, top: 24, width: across, height: 150, x: [0, STEPS], y: [-2, 2], yTicks: [-1, 0, 1],
    });
    const tau = values.threshold;
    const lines = [tau, -tau].map((value) => at.y(value));
    place({ left, right: at.right, lines, toValue: (pixels) => Math.abs(at.valueAt(pixels)) });
    const steps = Array.from(mean, (_, step) => step + 1);
    const seen = one(results[0].gradients, DRAWS).map((g) => Math.min(Math.max(g, -1.95), 1.95));
    const weights = one(results[0].weights, DRAWS);
    const edges = [-1, ...weights].slice(0, -1).map((w) => w * tau);
    const legend = 'gradients, their <tspan class="ink-text">mean</tspan>, ' +
      'and Bop’s <tspan class="bop-text">average m</tspan>';
    let inside =
      label(left, 15, legend) +
      at.frame +
      dots(at, steps, seen, "gradient") +
      staircase(at, mean, "mean") +
      verticals(at, flipSteps(weights, -1), "bop") +
      lines.map((y) => `<path class="threshold faint" d="M${left} ${y}H${at.right}"/>`).join("") +
      staircase(at, edges, "threshold") +
      curve(at, one(results[0].real, DRAWS), "bop");
    const [start, each] = [180, narrow ? 66 : 49];
    results.forEach((result, i) => {
      inside += strip(result, mean, { left, top: start + each * i, width: across }, {
        name: METHODS[i], kind: i ? "latent" : "bop", narrow, last: i === METHODS.length - 1,
      });
    });
    return { height: start + each * METHODS.length + 34, inside, words: describe(results, settings) };
  }
}
