/* The rules of bopkit.rules in JavaScript, on all weights of the network at once.
 *
 * A rule's `step(state, gradient, rates, t)` changes `state.weights` and its own averages in place, and
 * fills `state.push`: how far each weight is pushed towards a flip, in the rule's own units. A weight
 * flips where its push exceeds `mark(rates)`. All is computed in doubles, in the order of operations
 * of the NumPy functions, which the tests compare with these step by step. */

const EPSILON_SECOND = 1e-10; // bopkit.rules.bop2ndorder
const EPSILON_ADAM = 1e-7; // bopkit.rules.latent

function flipWhereBeyond({ weights, push }, threshold) {
  let flips = 0;
  for (let i = 0; i < weights.length; i++) {
    if (push[i] > threshold) {
      weights[i] = -weights[i];
      flips++;
    }
  }
  return flips;
}

/** The binary weights are the signs of the latent ones: +1 at zero and above. */
function takeSigns({ weights, push, latent }) {
  let flips = 0;
  for (let i = 0; i < weights.length; i++) {
    push[i] = -weights[i] * latent[i];
    const sign = latent[i] >= 0 ? 1 : -1;
    if (sign !== weights[i]) flips++;
    weights[i] = sign;
  }
  return flips;
}

export const RULES = {
  bop: {
    averages: ["momentum"],
    mark: ({ threshold }) => threshold,
    step(state, gradient, { gamma, threshold }) {
      const { weights, push, momentum: m } = state;
      for (let i = 0; i < m.length; i++) {
        // m_t = (1 - γ) m_{t-1} + γ g_t
        m[i] += gamma * (gradient[i] - m[i]);
        push[i] = weights[i] * m[i];
      }
      return flipWhereBeyond(state, threshold);
    },
  },
  bop2ndorder: {
    averages: ["momentum", "square"],
    mark: ({ threshold }) => threshold,
    step(state, gradient, { gamma, threshold, sigma }) {
      const { weights, push, momentum: m, square: v } = state;
      for (let i = 0; i < m.length; i++) {
        // m_t = (1 - γ) m_{t-1} + γ g_t;  v_t = (1 - σ) v_{t-1} + σ g_t²
        m[i] += gamma * (gradient[i] - m[i]);
        v[i] += sigma * (gradient[i] * gradient[i] - v[i]);
        push[i] = weights[i] * (m[i] / (Math.sqrt(v[i]) + EPSILON_SECOND));
      }
      return flipWhereBeyond(state, threshold);
    },
  },
  sgd: {
    averages: ["latent"],
    mark: () => 0,
    step(state, gradient, { eta, leak }) {
      const { latent } = state;
      // w̃_t = (1 - λ) w̃_{t-1} - η g_t
      for (let i = 0; i < latent.length; i++) latent[i] = (1 - leak) * latent[i] - eta * gradient[i];
      return takeSigns(state);
    },
  },
  momentum: {
    averages: ["latent", "velocity"],
    mark: () => 0,
    step(state, gradient, { eta, beta }) {
      const { latent, velocity: v } = state;
      for (let i = 0; i < latent.length; i++) {
        // v_t = β v_{t-1} + (1 - β) g_t
        v[i] = beta * v[i] + (1 - beta) * gradient[i];
        latent[i] -= eta * v[i];
      }
      return takeSigns(state);
    },
  },
  adam: {
    averages: ["latent", "mean", "square"],
    mark: () => 0,
    step(state, gradient, { eta, beta, beta2 = 0.999 }, t) {
      const { latent, mean: a, square: v } = state;
      const grown = 1 - beta ** t;
      const grown2 = 1 - beta2 ** t;
      for (let i = 0; i < latent.length; i++) {
        // a_t = β₁ a_{t-1} + (1 - β₁) g_t;  v_t = β₂ v_{t-1} + (1 - β₂) g_t²
        a[i] = beta * a[i] + (1 - beta) * gradient[i];
        v[i] = beta2 * v[i] + (1 - beta2) * (gradient[i] * gradient[i]);
        latent[i] -= eta * (a[i] / grown / (Math.sqrt(v[i] / grown2) + EPSILON_ADAM));
      }
      return takeSigns(state);
    },
  },
};
