/* What the live pictures share: their controls, their axes, and a handle to drag inside a picture.
 *
 * A picture is redrawn for the width that it has, one unit for one CSS pixel, so its letters are as
 * large on a phone as at a desk. The frame around it (form, picture, words) comes from
 * bopkit.book.widgets; the colours are the page's, by the classes of live.css. */

/* Begin a live picture: take over its form, and draw it again at each change of a control or of the
 * width. `draw(settings, width)` returns the height, the SVG's inside, the words, and, if some
 * sliders have no effect, the names of those in use. */
export function bringToLife(root, draw) {
  const form = root.querySelector("form");
  const box = root.querySelector(".bop-picture");
  const says = root.querySelector(".bop-says");
  const svg = element("svg", { role: "img" });
  let width = 0;

  function show() {
    if (width === 0) return;
    for (const input of form.querySelectorAll("input[type=range]")) showValue(input);
    const { height, inside, words, uses } = draw(read(form), width);
    for (const input of form.querySelectorAll("input[type=range]"))
      input.disabled = uses ? !uses.includes(input.dataset.name) : false;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.style.height = `${height}px`;
    svg.setAttribute("aria-label", words);
    svg.innerHTML = inside;
    const shown = words.replaceAll(" %", "\u00a0%"); // no line ends before the sign
    if (says.textContent !== shown) says.textContent = shown;
  }

  box.replaceChildren(svg);
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  new ResizeObserver(() => {
    if (Math.floor(box.clientWidth) === width) return;
    width = Math.floor(box.clientWidth);
    show();
  }).observe(box);
  return { form, box, show };
}

// The value of each control, by its name, with its place among all values and its text.
function read(form) {
  const settings = {};
  for (const field of form.querySelectorAll("[data-name]")) {
    const place = Number((field.querySelector("input:checked") ?? field).value);
    const value = JSON.parse(field.dataset.values)[place];
    const text = JSON.parse(field.dataset.texts ?? field.dataset.values)[place];
    settings[field.dataset.name] = { value, place, text };
  }
  return settings;
}

// What a slider says of its value, and how far its track is filled.
function showValue(input) {
  const text = JSON.parse(input.dataset.texts)[input.value];
  input.setAttribute("aria-valuetext", text);
  input.parentElement.querySelector("output").textContent = text;
  input.style.setProperty("--share", input.value / input.max);
}

export function move(input, position) {
  const place = Math.min(Math.max(Math.round(position), 0), Number(input.max));
  if (place === Number(input.value)) return;
  input.value = place;
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

// A button behind the sliders.
export function button(form, text, act) {
  const made = element("button", { type: "button", class: "bop-button" }, "html");
  made.textContent = text;
  made.addEventListener("click", act);
  form.append(made);
  return made;
}

/* Another way to move a slider: a handle inside the picture, and lines that can be dragged.
 *
 * `input` is the slider and `label` what the handle is called. The returned function places them:
 * at `{left, right, lines, toValue}`, where `lines` are heights in pixels and `toValue` turns a
 * height into a value, or hides them at `null`. */
export function handle(box, input, label) {
  const values = JSON.parse(input.dataset.values);
  const knob = element("div", { class: "bop-handle", role: "slider", tabindex: 0 }, "html");
  knob.setAttribute("aria-label", label);
  knob.setAttribute("aria-orientation", "vertical");
  knob.setAttribute("aria-valuemin", values[0]);
  knob.setAttribute("aria-valuemax", values.at(-1));
  knob.append("τ");
  const bands = [1, 2].map(() => element("div", { class: "bop-band" }, "html"));
  let place = null;

  function drag(event) {
    const value = place.toValue(event.clientY - box.getBoundingClientRect().top);
    move(input, nearest(values, value));
  }

  for (const part of [...bands, knob]) {
    part.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      knob.focus({ preventScroll: true });
      part.setPointerCapture(event.pointerId);
      part.addEventListener("pointermove", drag);
    });
    for (const end of ["pointerup", "pointercancel"])
      part.addEventListener(end, () => part.removeEventListener("pointermove", drag));
  }
  const keys = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 };
  knob.addEventListener("keydown", (event) => {
    const ends = { Home: 0, End: values.length - 1 };
    if (!(event.key in keys) && !(event.key in ends)) return;
    event.preventDefault();
    move(input, ends[event.key] ?? Number(input.value) + keys[event.key]);
  });
  box.append(...bands, knob);

  return (where) => {
    place = where;
    for (const part of [...bands, knob]) part.hidden = where === null;
    if (where === null) return;
    knob.style.left = `${where.right}px`;
    knob.style.top = `${where.lines[0]}px`;
    knob.setAttribute("aria-valuenow", values[input.value]);
    knob.setAttribute("aria-valuetext", JSON.parse(input.dataset.texts)[input.value]);
    bands.forEach((band, i) => {
      band.style.left = `${where.left}px`;
      band.style.width = `${where.right - where.left}px`;
      band.style.top = `${where.lines[i]}px`;
    });
  };
}

function nearest(values, value) {
  let best = 0;
  values.forEach((each, i) => {
    if (Math.abs(each - value) < Math.abs(values[best] - value)) best = i;
  });
  return best;
}

function element(name, attributes, kind = "svg") {
  const space = kind === "svg" ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
  const made = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/* Drawing: each function returns a piece of SVG as text. ------------------------------------- */

const round = (value) => Math.round(value * 10) / 10;

/* A panel with its scales: `x` and `y` are the ends of the axes, `ticks` pairs of a place and its
 * text, or places alone. Returns what turns values into pixels, and the frame to draw. */
export function panel({ left, top, width, height, x, y, xTicks = [], yTicks = [] }) {
  const across = (value) => left + (width * (value - x[0])) / (x[1] - x[0]);
  const up = (value) => top + (height * (y[1] - value)) / (y[1] - y[0]);
  const valueAt = (pixels) => y[1] - ((y[1] - y[0]) * (pixels - top)) / height;
  const right = left + width;
  const bottom = top + height;
  const pair = (tick) => (Array.isArray(tick) ? tick : [tick, String(tick).replace("-", "−")]);
  let frame = "";
  for (const [value, text] of yTicks.map(pair)) {
    const at = round(up(value));
    frame += `<path class="grid" d="M${left} ${at}H${right}"/>`;
    frame += label(left - 6, at + 4, text, "end");
  }
  for (const [value, text] of xTicks.map(pair)) {
    const at = round(across(value));
    frame += `<path class="grid" d="M${at} ${top}V${bottom}"/>`;
    frame += label(at, bottom + 17, text, "middle");
  }
  frame += `<path class="axis" d="M${left} ${top}V${bottom}H${right}"/>`;
  return { x: across, y: up, valueAt, left, right, top, bottom, frame };
}

export function label(x, y, text, anchor = "start", kind = "") {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" class="${kind}">${text}</text>`;
}

// A curve through values at steps 1, 2, … of a panel.
export function curve(at, values, kind, first = 1) {
  let d = "";
  values.forEach((value, i) => {
    d += `${i ? "L" : "M"}${round(at.x(first + i))} ${round(at.y(value))}`;
  });
  return `<path class="${kind}" d="${d}"/>`;
}

// A curve that keeps each value until the next step.
export function staircase(at, values, kind, first = 1) {
  let d = "";
  values.forEach((value, i) => {
    if (i && value === values[i - 1]) return;
    d += `${i ? "H" : "M"}${round(at.x(first + i))}${i ? "V" : " "}${round(at.y(value))}`;
  });
  return `<path class="${kind}" d="${d}H${round(at.x(first + values.length))}"/>`;
}

// Many points as one path: each is a stroke of no length with round ends.
export function dots(at, xs, ys, kind) {
  let d = "";
  xs.forEach((x, i) => {
    d += `M${round(at.x(x))} ${round(at.y(ys[i]))}h0`;
  });
  return `<path class="dots ${kind}" d="${d}"/>`;
}

// A thin line over the whole panel at each step.
export function verticals(at, steps, kind) {
  const d = steps.map((step) => `M${round(at.x(step))} ${at.top}V${at.bottom}`).join("");
  return `<path class="flip ${kind}" d="${d}"/>`;
}

/* A weight as a line over the grey band of the sign that it should have, given the mean gradient at
 * each step. */
export function weightOverIdeal(at, weights, mean, kind) {
  return (
    staircase(at, mean.map((each) => -Math.sign(each)), "ideal") +
    staircase(at, weights, `${kind} weight`) +
    label(at.left - 6, at.y(1) + 4, "+1", "end") +
    label(at.left - 6, at.y(-1) + 4, "−1", "end")
  );
}

// The steps, from 1, at which a weight differs from the one before.
export function flipSteps(weights, start) {
  const found = [];
  weights.forEach((weight, i) => {
    if (weight !== (i ? weights[i - 1] : start)) found.push(i + 1);
  });
  return found;
}
