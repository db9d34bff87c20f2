/* The arithmetic of the live pictures: noise, signals and update rules, for many weights at once.
 *
 * Each line repeats what bopkit.rules and bopkit.book.streams compute, operation by operation, in
 * double precision. So the same gradients give the same flips here and in Python, and a test in a
 * browser compares them one by one. Arrays of (steps, draws) are flat, with the draw moving
 * fastest. */

// The last step of MurmurHash3: it turns a counter into 32 bits that look random.
function scramble(counter) {
  let hash = counter >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/* Nearly normal numbers of mean 0 and standard deviation 1: each is a sum of twelve uniform ones,
 * which needs no logarithm, whose last digit would depend on the machine. */
export function normals(count, seed) {
  const result = new Float64Array(count);
  const first = scramble(seed);
  for (let i = 0; i < count; i++) {
    let sum = 0;
    for (let k = 0; k < 6; k++) {
      const bits = scramble(first + 6 * i + k);
      sum += (bits & 0xffff) + (bits >>> 16);
    }
    result[i] = (sum - 6 * 0xffff) / 65536;
  }
  return result;
}

// A mean that is -strength, +strength, -strength for a third of the steps each.
export function turningMean(strength, steps) {
  return Float64Array.from({ length: steps }, (_, step) =>
    Math.floor((3 * step) / steps) % 2 ? strength : -strength,
  );
}

// g = mean + noise · z
export function addNoise(mean, noise, z) {
  const draws = z.length / mean.length;
  const gradients = new Float64Array(z.length);
  for (let step = 0, i = 0; step < mean.length; step++)
    for (let draw = 0; draw < draws; draw++, i++) gradients[i] = mean[step] + noise * z[i];
  return gradients;
}

/* Bop on each draw, from m = 0. Returns the weights and the averages after each step. */
export function bop(gradients, draws, { gamma, threshold, start = -1 }) {
  const weights = new Int8Array(gradients.length);
  const averages = new Float64Array(gradients.length);
  for (let i = 0; i < gradients.length; i++) {
    const before = i < draws ? 0 : averages[i - draws];
    const weight = i < draws ? start : weights[i - draws];
    // m_t = (1 - γ) m_{t-1} + γ g_t, written with one product
    const average = before + gamma * (gradients[i] - before);
    averages[i] = average;
    // flip where w·m > τ, strictly
    weights[i] = weight * average > threshold ? -weight : weight;
  }
  return { weights, averages };
}

/* SGD on a latent weight, which leaks a share `decay` per step and is clipped to ±clip. Returns the
 * binary weights and the latent weights after each step. */
export function latentSgd(gradients, draws, { rate, clip = Infinity, decay = 0, start = -1 }) {
  const weights = new Int8Array(gradients.length);
  const latents = new Float64Array(gradients.length);
  for (let i = 0; i < gradients.length; i++) {
    const before = i < draws ? start : latents[i - draws];
    // w̃_t = clip((1 - λ) w̃_{t-1} - η g_t)
    const latent = (1 - decay) * before - rate * gradients[i];
    latents[i] = Math.min(Math.max(latent, -clip), clip);
    weights[i] = latents[i] >= 0 ? 1 : -1;
  }
  return { weights, latents };
}

/* SGD with momentum on a latent weight is SGD on the moving average of the gradient. The options are
 * those of latentSgd, and `momentum`, the share of the average that stays per step. */
export function latentMomentum(gradients, draws, options) {
  const { momentum = 0.9 } = options;
  const velocities = new Float64Array(gradients.length);
  for (let i = 0; i < gradients.length; i++) {
    const before = i < draws ? 0 : velocities[i - draws];
    // v_t = μ v_{t-1} + (1 - μ) g_t
    velocities[i] = momentum * before + (1 - momentum) * gradients[i];
  }
  return latentSgd(velocities, draws, options);
}

/* Adam on a latent weight is SGD on the mean gradient over the root of the mean square. The options
 * are those of latentSgd. */
export function latentAdam(gradients, draws, options) {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7 } = options;
  const directions = new Float64Array(gradients.length);
  const means = new Float64Array(draws);
  const squares = new Float64Array(draws);
  for (let i = 0, step = 1; i < gradients.length; step++) {
    // what the averages hold of a constant after this step: 1 - β₁^t and 1 - β₂^t
    const [grown, grown2] = [1 - beta1 ** step, 1 - beta2 ** step];
    for (let draw = 0; draw < draws; draw++, i++) {
      const gradient = gradients[i];
      // a_t = β₁ a_{t-1} + (1 - β₁) g_t;  v_t = β₂ v_{t-1} + (1 - β₂) g_t²
      means[draw] = beta1 * means[draw] + (1 - beta1) * gradient;
      squares[draw] = beta2 * squares[draw] + (1 - beta2) * (gradient * gradient);
      directions[i] = means[draw] / grown / (Math.sqrt(squares[draw] / grown2) + epsilon);
    }
  }
  return latentSgd(directions, draws, options);
}

/* For each draw: how often the weight flips, and on how many steps it has the sign of the mean
 * gradient, with which it makes the loss grow. */
export function score(weights, mean, start = -1) {
  const draws = weights.length / mean.length;
  const flips = new Int32Array(draws);
  const wrong = new Int32Array(draws);
  for (let step = 0, i = 0; step < mean.length; step++)
    for (let draw = 0; draw < draws; draw++, i++) {
      if (weights[i] !== (step ? weights[i - draws] : start)) flips[draw] += 1;
      if (weights[i] * mean[step] > 0) wrong[draw] += 1;
    }
  return { flips, wrong };
}

// One draw out of many: its values at each step.
export function one(values, draws, draw = 0) {
  const course = new values.constructor(values.length / draws);
  for (let step = 0; step < course.length; step++) course[step] = values[step * draws + draw];
  return course;
}

export function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

export function times(flips) {
  return flips === 1 ? "1 flip" : `${flips} flips`;
}

/* total / count, to a tenth, in whole numbers, so that Python rounds the same way. */
export function tenths(total, count) {
  const rounded = Math.floor((20 * total + count) / (2 * count));
  return `${Math.floor(rounded / 10)}.${rounded % 10}`;
}
