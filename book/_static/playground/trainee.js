/* One run as the page knows it: its worker, its settings, and what has been seen of its steps. */

import { STEPS } from "./run.js";

export class Trainee {
  constructor(worker, data, settings, changed) {
    this.worker = worker;
    this.turn = 0;
    this.pending = 0;
    this.ghost = [];
    this.records = [];
    worker.onmessage = ({ data: answer }) => {
      this.pending--;
      if (answer.turn !== this.turn) return; // of steps that were taken back meanwhile
      if (answer.signs) this.signs = answer.signs;
      this.records.push(...answer.records);
      changed();
    };
    this.start(settings, { data });
  }

  get steps() {
    return this.records.length;
  }

  get idle() {
    return this.pending === 0;
  }

  get done() {
    return this.steps >= STEPS;
  }

  /** A worker answers each message once. */
  send(message) {
    this.pending++;
    this.worker.postMessage({ turn: this.turn, ...message });
  }

  /** Begin again at step 0. */
  start(settings, more = {}) {
    this.forget(0);
    this.settings = settings;
    this.changes = [];
    this.send({ start: settings, ...more });
  }

  /** Other rates from here on. */
  change(settings) {
    this.settings = settings;
    if (this.changes[this.changes.length - 1] !== this.steps) this.changes.push(this.steps);
    this.send({ settings });
  }

  /** Go back to a step and forget what came later. */
  back(step) {
    if (step >= this.steps) return;
    this.forget(step);
    // A setting that was changed later holds from this step on.
    const kept = this.changes.filter((at) => at < step);
    this.changes = kept.length < this.changes.length ? [...kept, step] : kept;
    this.send({ back: step });
  }

  forget(step) {
    // What is forgotten stays as a shadow behind the new curves.
    if (this.steps - step > 20) this.ghost = this.records;
    this.records = this.records.slice(0, step);
    this.turn++;
  }

  advance(steps) {
    this.send({ advance: steps });
  }

  /** The first layer's weights after each step, from `step` back; the last two dozen will do. */
  history(step) {
    const from = Math.max(0, step - 24);
    const found = this.records.slice(from, step).map(({ signs }) => signs);
    if (from === 0 && this.signs) found.unshift(this.signs);
    return found.reverse();
  }
}
