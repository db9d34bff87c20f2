/* The four kinds of picture, each drawn on a canvas in the colours of the page. */

import { HIDDEN, SIZE } from "./network.js";
import { AXES, BINS, EPOCHS, STEPS, STEPS_PER_EPOCH, place } from "./run.js";
import { print } from "./settings.js";

const FONT = 12; // pixels, on a phone too
const LEFT = 40;
const BOTTOM = 20;
const TOP = 8;
const RIGHT = 8;
const FADE = 12; // steps after which a flip is no longer seen

/** What a variable of bopkit.css stands for now, in the light or in the dark. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const known = new Map();
  return (name) => {
    if (!known.has(name)) known.set(name, style.getPropertyValue(name).trim());
    return known.get(name);
  };
}

/** A canvas made as sharp as the screen, cleared, and its context in CSS pixels. */
function open(canvas, colour) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = `${FONT}px ${getComputedStyle(canvas).fontFamily}`;
  pen.fillStyle = colour("--bop-muted");
  pen.lineJoin = "round";
  return { pen, width, height };
}

function line(pen, points, { colour, width = 1.8, dash = [], alpha = 1 }) {
  pen.save();
  Object.assign(pen, { strokeStyle: colour, lineWidth: width, globalAlpha: alpha });
  pen.setLineDash(dash);
  pen.beginPath();
  for (const [x, y] of points) pen.lineTo(x, y);
  pen.stroke();
  pen.restore();
}

export const stepAt = (canvas, x) =>
  Math.round(((x - LEFT) / (canvas.clientWidth - LEFT - RIGHT)) * STEPS);

/**
 * Curves against steps.
 * @param ticks [[value, text], ...] of the vertical axis, lowest first
 * @param curves [{values, ...pen}]: the value after step 1, 2, ...
 * @param cursor the step that is shown, or null
 * @param changes steps at which a control was moved
 */
export function drawCurves(canvas, colour, { ticks, curves, cursor, changes }) {
  const { pen, width, height } = open(canvas, colour);
  const [low, high] = [ticks[0][0], ticks[ticks.length - 1][0]];
  const x = (step) => LEFT + (step / STEPS) * (width - LEFT - RIGHT);
  const y = (value) => height - BOTTOM - ((value - low) / (high - low)) * (height - BOTTOM - TOP);
  const grid = { colour: colour("--bop-grid"), width: 1 };
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const [value, text] of ticks) {
    line(pen, [[LEFT, y(value)], [width - RIGHT, y(value)]], grid);
    pen.fillText(text, LEFT - 6, y(value));
  }
  pen.textAlign = "center";
  pen.textBaseline = "alphabetic";
  for (let epoch = 0; epoch <= EPOCHS; epoch += 5) {
    const at = x(epoch * STEPS_PER_EPOCH);
    const last = epoch === EPOCHS;
    pen.textAlign = last ? "right" : "center";
    pen.fillText(last ? `epoch ${epoch}` : String(epoch), last ? at + RIGHT : at, height - 4);
  }
  for (const step of changes) {
    line(pen, [[x(step), TOP], [x(step), height - BOTTOM]], {
      colour: colour("--bop-faint"), width: 1, dash: [2, 3],
    });
  }
  for (const { values, ...look } of curves) {
    line(pen, Array.from(values, (value, n) => [x(n + 1), y(value)]), look);
  }
  if (cursor !== null) {
    line(pen, [[x(cursor), TOP], [x(cursor), height - BOTTOM]], {
      colour: colour("--bop-ink"), width: 1,
    });
  }
}

/** Red, green and blue of #abc or #aabbcc. */
function channels(hex) {
  const digits = hex.length === 4 ? hex.replace(/[^#]/g, "$&$&") : hex;
  return [1, 3, 5].map((k) => parseInt(digits.slice(k, k + 2), 16));
}
const mix = (a, b, share) => a.map((value, k) => value + (b[k] - value) * share);

const small = new Map(); // one little canvas per large one

/**
 * The first layer's 64 x 64 weights: 8 x 8 tiles, one for each hidden unit, of 8 x 8 pixels.
 * @param history the weights after each step up to the one that is shown, the last first
 * @param accent what a flip lights up in
 * @param fade whether older flips are still seen
 */
export function drawWeights(canvas, colour, { history, accent, fade }) {
  const { pen, width, height } = open(canvas, colour);
  const [paper, ink, bright] = ["--pst-color-background", "--bop-ink", accent].map((name) =>
    channels(colour(name)),
  );
  const tones = { "-1": mix(paper, ink, 0.3), 1: mix(paper, ink, 0.08) };
  if (!small.has(canvas)) {
    small.set(canvas, Object.assign(document.createElement("canvas"), { width: 64, height: 64 }));
  }
  const cells = small.get(canvas).getContext("2d");
  const image = cells.createImageData(64, 64);
  const steps = Math.min(history.length - 1, fade ? FADE : 1);
  for (let i = 0; i < history[0].length; i++) {
    const [pixel, unit] = [Math.floor(i / HIDDEN), i % HIDDEN];
    const row = Math.floor(unit / 8) * 8 + Math.floor(pixel / 8);
    const column = (unit % 8) * 8 + (pixel % 8);
    let age = 0;
    while (age < steps && history[age][i] === history[age + 1][i]) age++;
    const tone = tones[history[0][i]];
    const shown = age < steps ? mix(tone, bright, 0.8 ** age) : tone;
    image.data.set([...shown, 255], 4 * (row * 64 + column));
  }
  cells.putImageData(image, 0, 0);
  const size = Math.min(width, height);
  const [left, top] = [0, 0];
  pen.imageSmoothingEnabled = false;
  pen.drawImage(small.get(canvas), left, top, size, size);
  pen.fillStyle = colour("--pst-color-background");
  for (let k = 1; k < 8; k++) {
    pen.fillRect(left + (k * size) / 8 - 1, top, 2, size);
    pen.fillRect(left, top + (k * size) / 8 - 1, size, 2);
  }
}

/** How many weights are pushed towards a flip, and how hard; those beyond the mark flip. */
export function drawPushes(canvas, colour, { record, rule, accent, name }) {
  const { pen, width, height } = open(canvas, colour);
  const axis = AXES[rule];
  const x = (push) => LEFT + ((place(push, axis) + 1) / 2) * (width - LEFT - RIGHT);
  const base = height - BOTTOM;
  const room = base - TOP - FONT;
  line(pen, [[LEFT, base], [width - RIGHT, base]], { colour: colour("--bop-faint"), width: 1 });
  pen.textAlign = "center";
  let free = Infinity; // to the right of the last text that was written
  for (let size = 10 ** Math.floor(Math.log10(axis.most)); size > 2 * axis.linear; size /= 10) {
    const text = print(Number(size.toPrecision(1)));
    const half = pen.measureText(`−${text}`).width / 2 + 5;
    if (x(size) + half > free || x(size) - half < x(0) + 8) continue;
    free = x(size) - half;
    // What stands at the very end begins inside.
    const inside = size > 0.7 * axis.most ? 8 : 0;
    pen.fillText(`−${text}`, x(-size) + inside, height - 4);
    pen.fillText(text, x(size) - inside, height - 4);
  }
  pen.fillText("0", x(0), height - 4);
  pen.textAlign = "left";
  pen.fillText(name, 0, TOP + 4);
  if (!record) return;
  const wide = (width - LEFT - RIGHT) / BINS;
  const edge = ((place(record.mark, axis) + 1) / 2) * BINS;
  for (let bin = 0; bin < BINS; bin++) {
    // Heights are square roots of counts, so that single flips are seen beside thousands at rest.
    const tall = Math.min(Math.sqrt(record.bins[bin] / (0.15 * SIZE)), 1) * room;
    const beyond = Math.min(Math.max(bin + 1 - edge, 0), 1);
    const left = LEFT + bin * wide;
    pen.fillStyle = colour("--bop-faint");
    pen.fillRect(left, base - tall, wide - 0.5, tall);
    pen.fillStyle = colour(accent);
    if (beyond) pen.fillRect(left + wide * (1 - beyond), base - tall, wide * beyond - 0.5, tall);
  }
  const mark = x(record.mark);
  line(pen, [[mark, TOP + 4], [mark, base]], { colour: colour("--bop-ink"), width: 1.5 });
  pen.fillStyle = colour("--bop-ink");
  const text = rule.startsWith("bop") ? `τ = ${print(record.mark)}: flip →` : "flip →";
  pen.textAlign = mark > width / 2 + 90 ? "right" : "left";
  pen.fillText(text, mark + (pen.textAlign === "left" ? 5 : -5), TOP + 4);
}
