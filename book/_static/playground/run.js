/* One training run that can be taken back to any of its steps, and the worker that holds it. */

import { BATCH, FIRST, HeldOut, SIZE, backward, newRunning } from "./network.js";
import { RULES } from "./rules.js";

export const EPOCHS = 20;
export const STEPS_PER_EPOCH = 14;
export const STEPS = EPOCHS * STEPS_PER_EPOCH;
export const BINS = 72;

/** Numbers in [0, 1) from two whole numbers: the same on every machine (mulberry32). */
export function random(seed, stream) {
  let state = Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The order of the training images in one epoch; the held-out images come before them. */
export function order(data, seed, epoch) {
  const next = random(seed, 2 + epoch);
  const images = Int32Array.from(
    { length: data.labels.length - data.heldOut },
    (_, n) => n + data.heldOut,
  );
  for (let n = images.length - 1; n > 0; n--) {
    const other = Math.floor(next() * (n + 1));
    [images[n], images[other]] = [images[other], images[n]];
  }
  return images;
}

/** Where a push lies on an axis from -1 to 1 that is linear near zero and logarithmic beyond. */
export function place(push, { linear, most }) {
  const share = Math.log1p(Math.abs(push) / linear) / Math.log1p(most / linear);
  return Math.sign(push) * Math.min(share, 1);
}

/** What the axis of the pushes spans, by the rule. */
export const AXES = {
  bop: { linear: 3e-5, most: 0.032 },
  bop2ndorder: { linear: 1e-2, most: 1 },
  sgd: { linear: 1e-2, most: 100 },
  momentum: { linear: 1e-2, most: 100 },
  adam: { linear: 1e-2, most: 100 },
};

function histogram(push, axis) {
  const bins = new Uint16Array(BINS);
  for (const x of push) {
    // Bins are open on the left, so that a push of exactly 0 counts as none.
    bins[Math.max(0, Math.ceil(((place(x, axis) + 1) / 2) * BINS) - 1)]++;
  }
  return bins;
}

export class Run {
  /** @param start optional weights and latent magnitudes, in place of the seed's own. */
  constructor(data, settings, start = {}) {
    this.data = data;
    this.settings = settings;
    const next = random(settings.seed, 0);
    const weights = start.weights ?? Float64Array.from({ length: SIZE }, () => (next() < 0.5 ? -1 : 1));
    const magnitude = random(settings.seed, 1);
    const latent = start.latent ?? weights.map((w) => w * magnitude());
    this.state = { weights: weights.slice(), push: new Float64Array(SIZE), running: newRunning() };
    for (const name of RULES[settings.rule].averages) {
      this.state[name] = name === "latent" ? latent.slice() : new Float64Array(SIZE);
    }
    this.gradient = new Float64Array(SIZE);
    this.heldOut = new HeldOut(data);
    this.past = [this.copy()];
  }

  get steps() {
    return this.past.length - 1;
  }

  copy() {
    const { push, weights, running, ...averages } = this.state;
    const copies = Object.entries(averages).map(([name, values]) => [name, values.slice()]);
    return {
      ...Object.fromEntries(copies),
      weights: Int8Array.from(weights),
      running: running.map((values) => values.slice()),
    };
  }

  /** Go back to the state after `step` steps; what came later is forgotten. */
  back(step) {
    this.past.length = step + 1;
    for (const [name, values] of Object.entries(this.past[step])) {
      if (name === "running") values.forEach((v, layer) => this.state.running[layer].set(v));
      else this.state[name].set(values);
    }
  }

  /** The rates of this step: γ or η falls by the same factor after each epoch. */
  rates() {
    const { rule, seed, fall, ...rates } = this.settings;
    const epoch = Math.floor(this.steps / STEPS_PER_EPOCH);
    const factor = (fall ?? 1) ** (epoch / (EPOCHS - 1));
    for (const name of ["gamma", "eta"]) if (name in rates) rates[name] *= factor;
    return rates;
  }

  batch() {
    const { seed } = this.settings;
    const epoch = Math.floor(this.steps / STEPS_PER_EPOCH);
    if (this.shuffled?.epoch !== epoch) this.shuffled = { epoch, images: order(this.data, seed, epoch) };
    const start = (this.steps % STEPS_PER_EPOCH) * BATCH;
    return this.shuffled.images.subarray(start, start + BATCH);
  }

  /** Take one step; returns what there is to show of it. */
  step(batch = this.batch(), rates = this.rates()) {
    const { data, state, gradient } = this;
    const rule = RULES[this.settings.rule];
    const train = backward(data, batch, state.weights, state.running, gradient);
    const flips = rule.step(state, gradient, rates, this.steps + 1);
    this.past.push(this.copy());
    return {
      step: this.steps,
      train,
      test: this.heldOut.accuracy(state.weights, state.running),
      flips,
      mark: rule.mark(rates),
      bins: histogram(state.push, AXES[this.settings.rule]),
      signs: this.past[this.steps].weights.slice(0, FIRST),
    };
  }
}

/** Answer messages: {start}, {settings}, {back}, {advance}; one answer each, with the new steps. */
export function serve(scope) {
  let data;
  let run;
  scope.onmessage = ({ data: message }) => {
    if (message.data) data = message.data;
    if (message.start) run = new Run(data, message.start);
    if (message.settings) run.settings = message.settings;
    if (message.back !== undefined) run.back(message.back);
    const records = [];
    for (let n = message.advance ?? 0; n > 0 && run.steps < STEPS; n--) records.push(run.step());
    const signs = message.start && run.past[0].weights.slice(0, FIRST);
    scope.postMessage({ turn: message.turn, records, signs });
  };
}
