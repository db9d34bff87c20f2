/* What can be set, and how a setting is written into the page's address. */

/** Values on a logarithmic scale, rounded to two digits, so that an address stays short. */
function scale(from, to, perDecade) {
  const count = Math.round(Math.log10(to / from) * perDecade);
  return Array.from({ length: count + 1 }, (_, i) =>
    Number((from * 10 ** (i / perDecade)).toPrecision(2)),
  );
}

const superscript = (text) => text.replace(/[-\d]/g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));

/** A number as the book prints it: 0.0003, but 3·10⁻⁵. */
export function print(value) {
  if (value === 0 || Math.abs(value) >= 1e-4) return String(value);
  const [digits, exponent] = value.toExponential().split("e");
  return `${digits === "1" ? "" : `${digits}·`}10${superscript(exponent)}`;
}

const FALLS = [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
const fall = (letter) => ({
  label: `${letter} at the end`,
  values: FALLS,
  start: 1,
  text: (value) => (value === 1 ? "as at the start" : `1/${Math.round(1 / value)} of the start`),
});
// 0.071 is one over the 14 steps of an epoch.
const gamma = {
  label: "γ, adaptivity rate",
  values: [...scale(1e-3, 1, 10), 0.071].sort((a, b) => a - b),
};
const threshold = { label: "τ, threshold" };
const beta = { values: [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99], start: 0.9 };

/** The rules, their names and colours, and the controls of each. */
export const METHODS = {
  bop: {
    name: "Bop",
    colour: "--bop-blue",
    push: "w·m",
    controls: {
      gamma: { ...gamma, start: 0.071 },
      threshold: { ...threshold, values: [0, ...scale(1e-5, 0.032, 10)], start: 1e-4 },
      fall: fall("γ"),
    },
  },
  bop2ndorder: {
    name: "Bop2ndOrder",
    colour: "--bop-green",
    push: "w·m/√v",
    controls: {
      gamma: { ...gamma, start: 0.02 },
      threshold: { ...threshold, values: [0, ...scale(0.01, 1, 10)], start: 0.1 },
      sigma: { label: "σ, rate of the second moment", values: scale(1e-3, 1, 10), start: 0.02 },
      fall: fall("γ"),
    },
  },
  sgd: {
    name: "latent SGD",
    colour: "--bop-vermilion",
    push: "−w·w̃",
    controls: {
      eta: { label: "η, learning rate", values: scale(0.01, 1e4, 5), start: 10 },
      leak: { label: "λ, weight decay per step", values: [0, ...gamma.values], start: 0 },
      fall: fall("η"),
    },
  },
  momentum: {
    name: "latent SGD with momentum",
    colour: "--bop-vermilion",
    push: "−w·w̃",
    controls: {
      eta: { label: "η, learning rate", values: scale(0.01, 1e4, 5), start: 10 },
      beta: { ...beta, label: "β, momentum" },
      fall: fall("η"),
    },
  },
  adam: {
    name: "latent Adam",
    colour: "--bop-vermilion",
    push: "−w·w̃",
    controls: {
      eta: { label: "η, learning rate", values: scale(1e-4, 10, 5), start: 0.1 },
      beta: { ...beta, label: "β₁, decay of the mean" },
      fall: fall("η"),
    },
  },
};

export const textOf = (control, value) => (control.text ?? print)(value);

/** The rule's own start values. */
export function defaults(rule, seed) {
  const starts = Object.entries(METHODS[rule].controls).map(([name, { start }]) => [name, start]);
  return { rule, seed, ...Object.fromEntries(starts) };
}

/** The allowed value that is nearest to what an address says. */
function nearest(values, text) {
  const wanted = Number(text);
  if (text === "" || !Number.isFinite(wanted)) return undefined;
  return values.reduce((a, b) => (Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a));
}

/** `#run=bop;gamma=0.071;threshold=0.0001;fall=1&with=sgd;eta=1;...&seed=0` */
export function write([first, second]) {
  const one = ({ rule, seed, ...rates }) =>
    [rule, ...Object.entries(rates).map(([name, value]) => `${name}=${value}`)].join(";");
  return `#run=${one(first)}${second ? `&with=${one(second)}` : ""}&seed=${first.seed}`;
}

/** The settings that an address holds, or null if it holds none. What is not understood is left at
 *  its start value, because an address can come from anywhere. */
export function read(hash) {
  const parts = new Map(
    hash
      .slice(1)
      .split("&")
      .map((part) => [part.split("=", 1)[0], part.slice(part.indexOf("=") + 1)]),
  );
  const seed = Math.min(Math.max(Math.trunc(Number(parts.get("seed"))) || 0, 0), 999);
  const one = (text) => {
    const [rule, ...rates] = (text ?? "").split(";");
    if (!Object.hasOwn(METHODS, rule)) return null;
    const settings = defaults(rule, seed);
    for (const rate of rates) {
      const [name, value = ""] = rate.split("=");
      if (!Object.hasOwn(METHODS[rule].controls, name)) continue;
      settings[name] = nearest(METHODS[rule].controls[name].values, value) ?? settings[name];
    }
    return settings;
  };
  const first = one(parts.get("run"));
  return first && [first, one(parts.get("with"))].filter(Boolean);
}
