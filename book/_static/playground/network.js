/* The digits network of bopkit/book/toy.py: 64 pixels, 64 hidden units, 10 digits, and 4,736 binary
 * weights; the forward pass, the gradients, and the answers on the held-out images.
 *
 * All numbers are doubles, as in bopkit.book.toy.probe. A pixel is ink, k / 8 with k in 0..16, where
 * toy.py has k / 8 - 1: the batch normalization takes the difference out again. So the sums in front
 * of both signs are sums of small multiples of 1/8, exact in any order, and the hidden layer is equal
 * to NumPy's bit for bit. Ink also gives a pixel that is blank in the whole batch a gradient of exactly
 * zero, as toy.py does, and not a rounding error whose sign decides a flip at τ = 0. */

export const PIXELS = 64;
export const HIDDEN = 64;
export const DIGITS = 10;
export const FIRST = PIXELS * HIDDEN;
export const SIZE = FIRST + HIDDEN * DIGITS;
export const BATCH = 100;
const HELD_OUT = 360;
const EPSILON = 1e-5;
const SHARPNESS = 3;

/** The images from the text that bopkit.book.playground writes: a letter per pixel, "A" is no ink. */
export function decode({ pixels, labels }) {
  const ink = Float64Array.from(pixels, (letter) => (letter.charCodeAt(0) - 65) / 8);
  return { ink, labels: Uint8Array.from(labels, Number), heldOut: HELD_OUT };
}

/** Running means and deviations of both layers, which normalize the held-out images. */
export const newRunning = () => [HIDDEN, DIGITS].map((width) => new Float64Array(2 * width));

/** out = rows · weights, where many entries of a row are zero. */
function multiply(rows, ink, inner, weights, width, out) {
  out.fill(0);
  for (let n = 0; n < rows.length; n++) {
    const to = n * width;
    for (let i = 0, from = rows[n] * inner; i < inner; i++, from++) {
      const x = ink[from];
      if (x === 0) continue;
      for (let j = 0, w = i * width; j < width; j++, w++) out[to + j] += x * weights[w];
    }
  }
  return out;
}

/** For each hidden unit, what k / 8 - 1 has less than ink in front of its sign: its weights' sum. */
function offsets(weights) {
  const sums = new Float64Array(HIDDEN);
  for (let i = 0; i < FIRST; i++) sums[i % HIDDEN] += weights[i];
  return sums;
}

/** Batch normalization without parameters, in place; returns each column's deviation. The running
 *  means are those of the values less `offset`, because weights that flip change it. */
function normalize(values, width, running, offset) {
  const count = values.length / width;
  const mean = new Float64Array(width);
  const deviation = new Float64Array(width);
  for (let k = 0; k < values.length; k += width) {
    for (let j = 0; j < width; j++) mean[j] += values[k + j];
  }
  for (let j = 0; j < width; j++) mean[j] /= count;
  for (let k = 0; k < values.length; k += width) {
    for (let j = 0; j < width; j++) {
      const centred = values[k + j] - mean[j];
      values[k + j] = centred;
      deviation[j] += centred * centred;
    }
  }
  const fresh = running.subarray(width).every((value) => value === 0);
  for (let j = 0; j < width; j++) {
    deviation[j] = Math.sqrt(deviation[j] / count + EPSILON);
    // What the held-out images are normalized by: averages over about ten batches.
    const pace = fresh ? 1 : 0.1;
    running[j] += pace * (mean[j] - offset[j] - running[j]);
    running[width + j] += pace * (deviation[j] - running[width + j]);
  }
  for (let k = 0; k < values.length; k += width) {
    for (let j = 0; j < width; j++) values[k + j] /= deviation[j];
  }
  return deviation;
}

/** The gradient in front of a batch normalization from the one behind it, in place:
 *  (g - mean(g) - x · mean(g x)) / deviation. */
function backNormalize(gradient, normal, deviation) {
  const width = deviation.length;
  const count = gradient.length / width;
  const mean = new Float64Array(width);
  const along = new Float64Array(width);
  for (let k = 0; k < gradient.length; k += width) {
    for (let j = 0; j < width; j++) {
      mean[j] += gradient[k + j];
      along[j] += gradient[k + j] * normal[k + j];
    }
  }
  for (let j = 0; j < width; j++) {
    mean[j] /= count;
    along[j] /= count;
  }
  for (let k = 0; k < gradient.length; k += width) {
    for (let j = 0; j < width; j++) {
      gradient[k + j] = (gradient[k + j] - mean[j] - normal[k + j] * along[j]) / deviation[j];
    }
  }
}

/** p - y of a row of scores, in place; returns whether the largest is the right one. */
function softmaxError(scores, from, label) {
  let best = from;
  for (let j = from; j < from + DIGITS; j++) if (scores[j] > scores[best]) best = j;
  const top = SHARPNESS * scores[best];
  let sum = 0;
  for (let j = from; j < from + DIGITS; j++) {
    scores[j] = Math.exp(SHARPNESS * scores[j] - top);
    sum += scores[j];
  }
  for (let j = from; j < from + DIGITS; j++) scores[j] /= sum;
  scores[from + label] -= 1;
  return best === from + label;
}

/**
 * Gradients on one batch: what `backward` of bopkit/book/toy_network.py computes.
 * @param data as `decode` gives it
 * @param batch indices of images
 * @param weights SIZE numbers, each -1 or +1: first layer, then second
 * @param running as `newRunning` makes it; moved
 * @param gradient SIZE numbers, filled
 * @returns the share of the batch that was right
 */
export function backward(data, batch, weights, running, gradient) {
  const count = batch.length;
  const first = weights.subarray(0, FIRST);
  const second = weights.subarray(FIRST);
  const before = multiply(batch, data.ink, PIXELS, first, HIDDEN, new Float64Array(count * HIDDEN));
  const deviation = normalize(before, HIDDEN, running[0], offsets(first));
  const hidden = before.map((x) => (x >= 0 ? 1 : -1));
  const rows = Int32Array.from(batch, (_, n) => n);
  const back = multiply(rows, hidden, HIDDEN, second, DIGITS, new Float64Array(count * DIGITS));
  const deviation2 = normalize(back, DIGITS, running[1], new Float64Array(DIGITS));
  const normal = back.slice();
  let right = 0;
  for (let n = 0; n < count; n++) right += softmaxError(back, n * DIGITS, data.labels[batch[n]]);
  for (let k = 0; k < back.length; k++) back[k] = (SHARPNESS * back[k]) / count;
  backNormalize(back, normal, deviation2);

  gradient.fill(0);
  const passed = new Float64Array(count * HIDDEN);
  for (let n = 0; n < count; n++) {
    for (let i = 0; i < HIDDEN; i++) {
      const h = hidden[n * HIDDEN + i];
      let sum = 0;
      for (let j = 0; j < DIGITS; j++) {
        const g = back[n * DIGITS + j];
        gradient[FIRST + i * DIGITS + j] += h * g;
        sum += g * second[i * DIGITS + j];
      }
      // Through the sign by the straight-through estimator, whose window is |x| ≤ 1.
      if (Math.abs(before[n * HIDDEN + i]) <= 1) passed[n * HIDDEN + i] = sum;
    }
  }
  backNormalize(passed, before, deviation);
  for (let n = 0; n < count; n++) {
    for (let i = 0, from = batch[n] * PIXELS; i < PIXELS; i++, from++) {
      const x = data.ink[from];
      if (x === 0) continue;
      const to = i * HIDDEN;
      for (let j = 0; j < HIDDEN; j++) gradient[to + j] += x * passed[n * HIDDEN + j];
    }
  }
  return right / count;
}

/** The network's answers on the held-out images. Most weights stay as they are from step to step, so
 *  that the sums in front of the hidden signs are kept and only corrected for the flips. The sums are
 *  exact: it does not matter in which order they came about. */
export class HeldOut {
  constructor({ ink, labels, heldOut }) {
    this.count = heldOut;
    this.labels = labels;
    this.weights = new Float64Array(FIRST); // those that `sums` stands for
    this.sums = new Float64Array(HIDDEN * heldOut); // unit by unit
    this.ink = Float64Array.from(
      { length: PIXELS * heldOut },
      (_, k) => ink[(k % heldOut) * PIXELS + Math.floor(k / heldOut)],
    ); // pixel by pixel
  }

  follow(weights) {
    const { count, ink, sums } = this;
    for (let i = 0; i < FIRST; i++) {
      const change = weights[i] - this.weights[i];
      if (change === 0) continue;
      const from = Math.floor(i / HIDDEN) * count;
      const to = (i % HIDDEN) * count;
      for (let n = 0; n < count; n++) sums[to + n] += change * ink[from + n];
      this.weights[i] = weights[i];
    }
  }

  /** The share of the images that the network takes for the right digit. */
  accuracy(weights, running) {
    const { count, sums } = this;
    this.follow(weights);
    const out = new Float64Array(DIGITS * count);
    offsets(this.weights).forEach((offset, i) => {
      // The deviation is positive: it changes no sign.
      const mean = offset + running[0][i];
      for (let n = 0; n < count; n++) {
        const hidden = sums[i * count + n] >= mean ? 1 : -1;
        const from = FIRST + i * DIGITS;
        for (let j = 0; j < DIGITS; j++) out[n * DIGITS + j] += hidden * weights[from + j];
      }
    });
    let right = 0;
    for (let n = 0; n < count; n++) {
      let best = 0;
      let most = -Infinity;
      for (let j = 0; j < DIGITS; j++) {
        const score = (out[n * DIGITS + j] - running[1][j]) / running[1][DIGITS + j];
        if (score > most) [best, most] = [j, score];
      }
      right += best === this.labels[n];
    }
    return right / count;
  }
}
