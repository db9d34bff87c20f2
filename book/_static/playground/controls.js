/* The playground's controls, captions and words: the part of the page that is HTML. */

import { STEPS, STEPS_PER_EPOCH } from "./run.js";
import { METHODS, defaults, textOf } from "./settings.js";

const OPTIONS = Object.entries(METHODS)
  .map(([rule, { name }]) => `<option value="${rule}">${name}</option>`)
  .join("");
const fieldset = (k, title) => `
  <fieldset class="bop-run" data-run="${k}"><legend>${title}</legend>
    <label class="bop-rule">
      <select aria-label="Rule of the ${k ? "second" : "first"} run">${OPTIONS}</select></label>
    <p class="bop-reads"></p>
    <div class="bop-rates"></div>
  </fieldset>`;
const picture = (name, caption, count = 1) => `
  <figure class="bop-${name}"><figcaption>${caption}</figcaption><div class="bop-canvases">${
    '<canvas role="img"></canvas>'.repeat(count)
  }</div></figure>`;

// A browser reads out an <output> whenever it changes; a slider says its own value already.
const HTML = `
  <div class="bop-bar" role="group" aria-label="Training">
    <button type="button" data-do="play" class="bop-play">Pause</button>
    <button type="button" data-do="step">Step</button>
    <button type="button" data-do="reset">Reset</button>
    <div class="bop-slider bop-time"><label for="bop-time">Step</label>
      <output for="bop-time" aria-live="off"></output>
      <input type="range" id="bop-time" min="0" max="${STEPS}" value="0"></div>
    <label>Pace <select data-do="pace"><option value="15">slow</option>
      <option value="70" selected>watch</option><option value="Infinity">full</option></select></label>
    <label>Seed <input type="number" data-do="seed" min="0" max="999" value="0"></label>
    <button type="button" data-do="copy">Copy link</button>
  </div>
  <div class="bop-body">
    <div class="bop-side">${fieldset(0, "Run")}
      <label class="bop-compare"><input type="checkbox" data-do="compare"> Second run beside it</label>
      ${fieldset(1, "Second run")}
    </div>
    <div class="bop-pictures">
      ${picture("accuracy", "Digits right (%): <b>held-out</b>, training (thin)")}
      ${picture("flips", "Weights that flip per step, π<sub>t</sub>")}
      ${picture("weights", "First layer, one tile per unit: flips light up", 2)}
      ${picture("pushes", "Push of each weight towards a flip", 2)}
      <div class="bop-words"><p class="bop-both"></p>
        <p class="bop-heard" aria-live="polite"></p></div>
    </div>
  </div>`;

const LABELS = {
  accuracy: "Accuracy against steps",
  flips: "Share of the weights that flip per step, on a logarithmic scale",
  weights: "The signs of the first layer's 4,096 weights",
  pushes: "Histogram of each weight's push towards a flip, the threshold marked",
};

export class Panel {
  /** @param act functions to call: change, seed, compare, play, step, reset, look, copy */
  constructor(root, act) {
    this.act = act;
    this.box = document.createElement("div");
    this.box.className = "bop-lab";
    this.box.innerHTML = HTML;
    root.append(this.box);
    root.classList.add("bop-alive");
    this.shown = [];
    this.time = this.find("#bop-time");
    for (const name of ["play", "step", "reset", "copy"]) {
      this.find(`[data-do=${name}]`).addEventListener("click", () => act[name]());
    }
    this.time.addEventListener("input", () => act.look(Number(this.time.value)));
    this.find("[data-do=compare]").addEventListener("change", (e) => act.compare(e.target.checked));
    this.find("[data-do=seed]").addEventListener("change", ({ target }) => {
      target.value = Math.min(Math.max(Math.trunc(Number(target.value)) || 0, 0), 999);
      act.seed(Number(target.value));
    });
    this.box.querySelectorAll(".bop-run").forEach((field, k) => {
      field.querySelector("select").addEventListener("change", ({ target }) => {
        act.change(k, defaults(target.value, this.shown[k].seed));
      });
      field.querySelector(".bop-rates").addEventListener("input", ({ target }) => {
        const { rule } = this.shown[k];
        const value = METHODS[rule].controls[target.name].values[Number(target.value)];
        act.change(k, { ...this.shown[k], [target.name]: value });
      });
    });
  }

  find(selector) {
    return this.box.querySelector(selector);
  }

  canvas(name, k = 0) {
    return this.box.querySelectorAll(`.bop-${name} canvas`)[k];
  }

  get pace() {
    return Number(this.find("[data-do=pace]").value);
  }

  /** Set every control to these settings; a rule's sliders are made anew only if it changed. */
  show(settings) {
    this.box.classList.toggle("bop-two", settings.length === 2);
    this.find("[data-do=compare]").checked = settings.length === 2;
    this.find("[data-do=seed]").value = settings[0].seed;
    this.box.querySelectorAll(".bop-run").forEach((field, k) => {
      const its = settings[k];
      field.hidden = !its;
      for (const name of ["weights", "pushes"]) this.canvas(name, k).hidden = !its;
      if (its) this.showRun(field, its, this.shown[k]?.rule !== its.rule, k);
    });
    for (const name of ["accuracy", "flips", "weights", "pushes"]) {
      this.box.querySelectorAll(`.bop-${name} canvas`).forEach((canvas, k) => {
        const of = k ? ", second run" : "";
        canvas.setAttribute("aria-label", `${LABELS[name]}${of}; the numbers stand beside the controls.`);
      });
    }
    this.shown = settings;
  }

  showRun(field, its, anew, k) {
    const { colour, controls } = METHODS[its.rule];
    field.style.setProperty("--bop-own", `var(${colour})`);
    field.querySelector("select").value = its.rule;
    if (anew) {
      field.querySelector(".bop-rates").innerHTML = Object.entries(controls)
        .map(([name, { label, values }]) => {
          const id = `bop-${k}-${name}`;
          return `<div class="bop-slider"><label for="${id}">${label}</label>
            <output for="${id}" aria-live="off"></output>
            <input type="range" id="${id}" name="${name}" max="${values.length - 1}"></div>`;
        })
        .join("");
    }
    for (const input of field.querySelectorAll("input[type=range]")) {
      const control = controls[input.name];
      const place = control.values.indexOf(its[input.name]);
      fill(input, place < 0 ? 0 : place, textOf(control, its[input.name]));
    }
  }

  /** Whether the runs train, and how far they are. */
  state({ playing, newest }) {
    this.find("[data-do=play]").textContent = playing ? "Pause" : "Play";
    this.box.dataset.state = playing ? "playing" : "paused";
    this.box.dataset.steps = newest;
  }

  /** The step that is shown. */
  at(at) {
    fill(this.time, at, `${at} of ${STEPS}`, `step ${at}, epoch ${Math.ceil(at / STEPS_PER_EPOCH)}`);
  }

  /** A few numbers beside the controls, which change too often to be read out. */
  reads(runs, both) {
    const places = this.box.querySelectorAll(".bop-reads");
    runs.forEach((text, k) => (places[k].textContent = text));
    this.find(".bop-both").textContent = both;
  }

  /** The same in a sentence for who hears it: when something has come to rest. */
  announce(text, seen = false) {
    clearTimeout(this.waiting);
    this.find(".bop-heard").textContent = text;
    this.find(".bop-heard").classList.toggle("bop-seen", seen);
  }

  announceSoon(text) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.announce(text()), 500);
  }

  /** Call back where a curve is clicked, or a pointer is drawn along it. */
  scrub(callback) {
    for (const name of ["accuracy", "flips"]) {
      const canvas = this.canvas(name);
      const look = ({ clientX }) => callback(canvas, clientX - canvas.getBoundingClientRect().left);
      let start = 0;
      canvas.addEventListener("pointerdown", (event) => {
        start = event.clientX;
        if (event.pointerType === "mouse") look(event);
      });
      canvas.addEventListener("pointermove", (event) => {
        // A finger that moves up or down scrolls the page.
        const along = event.pointerType === "mouse" || Math.abs(event.clientX - start) > 8;
        if (event.buttons && along) look(event);
      });
      canvas.addEventListener("click", look);
    }
  }
}

/** A slider's place, what it says, and how far its track is filled. */
function fill(input, value, text, heard = text) {
  input.value = value;
  input.setAttribute("aria-valuetext", heard);
  input.style.setProperty("--share", value / input.max);
  input.parentElement.querySelector("output").textContent = text;
}
