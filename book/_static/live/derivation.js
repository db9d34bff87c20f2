/* The derivation of Bop in four steps on one stream of gradients: a latent weight is a sum, the sum
 * leaks, the leaking sum is rescaled to m, and m gets a threshold. Its numbers are those of
 * bopkit.book.pictures.derivation. */

import { addNoise, bop, latentSgd, normals, score, tenths, times, turningMean } from "./rules.js";
import {
  bringToLife, button, curve, dots, flipSteps, handle, label, panel, staircase, verticals,
  weightOverIdeal,
} from "./kit.js";

const STEPS = 300;
const MEAN = turningMean(0.4, STEPS);
const SEED = 1;
const START = 1;
const [SUM, LEAK, RESCALE, THRESHOLD] = [0, 1, 2, 3];
// The half height of the panel, in units of η while it shows w̃, and in units of m later.
const TALL = 60;

/* The four steps on the same gradients, one draw: weights, the real number, flips, steps wrong. */
export function compute(z, { decay, learning_rate, threshold }) {
  const gradients = addNoise(MEAN, 1, z);
  const latent = { rate: learning_rate, start: 0 };
  return [
    latentSgd(gradients, 1, latent),
    latentSgd(gradients, 1, { ...latent, decay }),
    bop(gradients, 1, { gamma: decay, threshold: 0, start: START }),
    bop(gradients, 1, { gamma: decay, threshold, start: START }),
  ].map(({ weights, latents, averages }) => {
    const { flips, wrong } = score(weights, MEAN, START);
    return { weights, real: latents ?? averages, gradients, flips: flips[0], wrong: wrong[0] };
  });
}

const often = (flips) => (flips === 0 ? "never flips" : `flips ${flips === 1 ? "once" : `${flips} times`}`);
const tell = ({ flips, wrong }) =>
  `The weight ${often(flips)} and is wrong ${tenths(100 * wrong, STEPS)} % of the time.`;

export function describe(courses, stage, { decay, threshold }) {
  const differ = courses[LEAK].weights.filter((w, i) => w !== courses[RESCALE].weights[i]).length;
  return [
    `The latent weight adds up the gradients, and w is its sign. ${tell(courses[SUM])}`,
    `Per step, the latent weight loses the share λ = ${decay.text} of itself, so it forgets. ` +
      `${tell(courses[LEAK])} The grey curve is the sum of step 1.`,
    "Multiplying w̃ by −λ/η turns the same curve upside down and changes its scale. η is gone, and " +
      `m is a moving average of the gradient. The weight differs from step 2 on ${differ} of ${STEPS} steps.`,
    `The weight now flips only if m exceeds τ = ${threshold.text} on its own side. This is Bop with ` +
      `γ = λ = ${decay.text}. ${tell(courses[THRESHOLD])}`,
  ][stage];
}

const EQUATIONS = [
  "w̃ ← w̃ − η g",
  "w̃ ← (1 − λ) w̃ − η g",
  "m = −λ w̃ / η, so that m ← (1 − λ) m + λ g",
  "m ← (1 − γ) m + γ g with γ = λ, and flip w if w·m &gt; τ",
];
const USES = [
  ["learning_rate"], ["decay", "learning_rate"], ["decay", "learning_rate"], ["decay", "threshold"],
];

// A number for an axis: three digits, and a true minus.
const short = (value) => String(Number(value.toPrecision(3))).replace("-", "−");

// The largest 1, 2 or 5 times a power of ten that is not above a value.
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [5, 2, 1].find((factor) => factor * power <= value);
}

/* The panel on the way from w̃ (way 0) to m (way 1): first the axis zooms from ±60 η to ±η/λ and the
 * curve grows with it, then the panel turns over around zero. */
function axis(box, way, { decay, learning_rate }) {
  const zoom = Math.min(2 * way, 1);
  const turn = Math.cos(Math.PI * Math.max(2 * way - 1, 0));
  const half = TALL ** (1 - zoom) * (1 / decay) ** zoom;
  const unit = nice(0.7 * half * learning_rate);
  const turned = turn < 0;
  const ticks = turned
    ? [-0.5, 0, 0.5].map((m) => [m, short(m)])
    : [-unit, 0, unit].map((w) => [(turn * w) / learning_rate / half, short(w)]);
  const at = panel({ ...box, x: [0, STEPS], y: [-1, 1], yTicks: ticks });
  // Where w̃ stands in the panel.
  const place = (latent) => (turn * latent) / learning_rate / half;
  return { at, place, turned };
}

/* One strip: what the step made of the weight, over the sign that it should have. */
function strip(box, course, name, kind, last) {
  const ticks = last ? [0, 100, 200, 300] : [];
  const at = panel({ ...box, height: 20, x: [0, STEPS], y: [-1.3, 1.3], xTicks: ticks });
  const told = `${times(course.flips)}, wrong ${tenths(100 * course.wrong, STEPS)} %`;
  return (
    label(box.left, box.top - 6, `<tspan class="${kind}-text">${name}</tspan> ${told}`) +
    weightOverIdeal(at, course.weights, MEAN, kind) +
    (last ? at.frame : "")
  );
}

export function mount(root) {
  let seed = SEED;
  let z = normals(STEPS, seed);
  let way = 0; // from w̃ to m
  let goal = 0;
  const { form, box, show } = bringToLife(root, draw);
  const place = handle(box, form.querySelector('[data-name="threshold"]'), "threshold τ, in the picture");
  button(form, "New noise", () => {
    seed += 1;
    z = normals(STEPS, seed);
    show();
  });

  function travel(to) {
    if (to === goal) return;
    goal = to;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      way = goal;
      return;
    }
    let before = null;
    requestAnimationFrame(function step(now) {
      const share = (now - (before ?? now)) / 1600;
      before = now;
      way = goal > way ? Math.min(goal, way + share) : Math.max(goal, way - share);
      show();
      if (way !== goal && goal === to) requestAnimationFrame(step);
    });
  }

  function draw(settings, width) {
    const values = Object.fromEntries(Object.entries(settings).map(([key, { value }]) => [key, value]));
    const stage = settings.stage.place;
    travel(stage >= RESCALE ? 1 : 0);
    const courses = compute(z, values);
    const [whole, leaking] = courses;
    const left = 44;
    const across = width - left - 48;
    const steps = MEAN.map((_, step) => step + 1);
    const top = panel({ left, top: 22, width: across, height: 62, x: [0, STEPS], y: [-2.6, 2.6], yTicks: [-2, 0, 2] });
    const main = axis({ left, top: 122, width: across, height: 180 }, way, values);
    const { at } = main;
    const scaled = (latents) => [...latents].map((w) => Math.min(Math.max(main.place(w), -1), 1));
    const shown = courses[stage];
    const kind = main.turned ? "bop" : "latent";
    let inside =
      top.frame +
      dots(top, steps, shown.gradients.map((g) => Math.min(Math.max(g, -2.5), 2.5)), "gradient") +
      staircase(top, MEAN, "mean") +
      label(left, 14, "the gradients g and their mean") +
      at.frame +
      label(left, 112, EQUATIONS[stage], "start", "ink-text") +
      `<path class="axis" d="M${left} ${at.y(0)}H${at.right}"/>` +
      verticals(at, flipSteps(shown.weights, START), kind);
    if (stage === LEAK) inside += curve(at, scaled(whole.real), "before");
    inside += curve(at, scaled(stage === SUM ? whole.real : leaking.real), kind);
    if (stage === RESCALE && main.turned)
      for (const m of [-0.5, 0, 0.5]) {
        const text = short((-m * values.learning_rate) / values.decay);
        inside += label(at.right + 6, at.y(m) + 4, text, "start", "latent-tick");
      }
    inside += label(left - 8, at.top + 4, main.turned ? "m" : "w̃", "end", `${kind}-text`);
    if (stage === RESCALE && main.turned) inside += label(at.right + 6, at.top + 4, "w̃", "start", "latent-text");
    const tau = values.threshold;
    const levels = [tau, -tau].map((value) => at.y(value));
    if (stage === THRESHOLD) {
      const edges = [START, ...shown.weights].slice(0, -1).map((w) => w * tau);
      inside +=
        levels.map((y) => `<path class="threshold faint" d="M${left} ${y}H${at.right}"/>`).join("") +
        staircase(at, edges, "threshold");
    }
    place(
      stage === THRESHOLD && way === 1
        ? { left, right: at.right, lines: levels, toValue: (pixels) => Math.abs(at.valueAt(pixels)) }
        : null,
    );
    const strips = [
      [whole, "Sum:", "latent"],
      [leaking, "Leak:", "latent"],
      [courses[THRESHOLD], "Threshold:", "bop"],
    ].slice(0, [1, 2, 2, 3][stage]);
    strips.forEach(([course, name, colour], i) => {
      const where = { left, top: 334 + 46 * i, width: across };
      inside += strip(where, course, name, colour, i === strips.length - 1);
    });
    return { height: 484, inside, words: describe(courses, stage, settings), uses: ["stage", ...USES[stage]] };
  }
}
