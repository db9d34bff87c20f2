/* The playground in its page: what moves the runs, and what shows them. */

import { drawCurves, drawPushes, drawWeights, palette, stepAt } from "./charts.js";
import { Panel } from "./controls.js";
import { SIZE } from "./network.js";
import { STEPS, STEPS_PER_EPOCH } from "./run.js";
import { METHODS, defaults, read, write } from "./settings.js";
import { Trainee } from "./trainee.js";

const FULL_SPEED = 10; // steps per message: about as long as two frames
const FLOOR = Math.exp(-9); // bopkit.rules.log_flip_ratio
const PI_TICKS = [
  [-9, "none"], [Math.log(1e-3), "0.1 %"], [Math.log(1e-2), "1 %"], [Math.log(1e-1), "10 %"],
  [0, "100 %"],
];
const PERCENT_TICKS = [0, 25, 50, 75, 100].map((value) => [value, String(value)]);
/** γ is one over the steps in an epoch and stays there, without a threshold: the run learns, but a
 *  tenth of the weights flips in every step, and either slider of the three can calm it. */
const START = [{ ...defaults("bop", 0), threshold: 0 }];

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const percent = (share) => `${(100 * share).toPrecision(share > 0.0995 ? 3 : 2)} %`;

/** Bring one playground to life. `makeWorker` gives a worker that runs `serve` of run.js. */
export function start(root, { makeWorker, data }) {
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const trainees = [];
  let shown = null; // the step that is looked at; null: the newest
  let playing = true;
  let whole = true; // this run is trained to its end at full speed
  let again = false; // a control moved meanwhile
  let owed = 0;
  let last = 0;
  let wanted = true; // something is to be drawn
  let colour = palette();

  const panel = new Panel(root, { change, seed, compare, play, step, reset, look, copy });

  const position = () => shown ?? Math.max(...trainees.map(({ steps }) => steps));
  const settings = () => trainees.map((trainee) => trainee.settings);
  const changed = () => (wanted = true);

  function addTrainee(its) {
    trainees.push(new Trainee(makeWorker(), data, its, changed));
  }

  function restart(its, atFullSpeed) {
    trainees.forEach((trainee, k) => trainee.start(its[k] ?? its[0]));
    [shown, playing, whole, again, owed] = [null, true, atFullSpeed, false, 0];
    changed();
  }

  /** A control of run `k` moved. While it trains, that acts from here on; at the end of a run the
   *  run is trained again, and a setting that trains already is let finish first. */
  function change(k, its) {
    const trainee = trainees[k];
    if (its.rule !== trainee.settings.rule) {
      trainee.settings = its;
      restart(settings(), whole);
    } else if (whole && playing) {
      trainee.settings = its;
      again = true;
    } else if (trainee.done && position() >= STEPS) {
      trainee.settings = its;
      restart(settings(), true);
    } else {
      if (shown !== null) takeBack();
      trainee.change(its);
    }
    panel.show(settings());
    remember();
  }

  function seed(value) {
    for (const trainee of trainees) trainee.settings = { ...trainee.settings, seed: value };
    restart(settings(), true);
    panel.show(settings());
    remember();
  }

  function compare(on) {
    if (on) {
      const { rule, seed: same } = trainees[0].settings;
      addTrainee(defaults(rule === "sgd" ? "bop" : "sgd", same));
      restart(settings(), true);
    } else trainees.pop()?.worker.terminate();
    panel.show(settings());
    remember();
    changed();
  }

  /** Stop; a setting that waited for the end of its run holds from here on. */
  function pause() {
    if (again) for (const trainee of trainees) trainee.change(trainee.settings);
    [playing, whole, again, owed] = [false, false, false, 0];
  }

  function takeBack() {
    for (const trainee of trainees) trainee.back(shown);
    shown = null;
  }

  function play(on = !playing) {
    if (on && position() >= STEPS) return restart(settings(), panel.pace === Infinity);
    if (on && shown !== null) takeBack();
    pause();
    playing = on;
    if (!on) panel.announce(summary());
    changed();
  }

  function step() {
    // Asked first, because going back and pausing send messages of their own.
    const ready = trainees.every(({ idle }) => idle);
    if (shown !== null) takeBack();
    pause();
    if (ready) trainees.forEach((trainee) => trainee.advance(1));
    panel.announceSoon(summary);
    changed();
  }

  function reset() {
    restart(settings(), false);
    playing = false;
    panel.announce("Back at step 0.");
  }

  function look(at) {
    pause();
    const newest = Math.max(...trainees.map(({ steps }) => steps));
    shown = Math.min(Math.max(at, 0), newest);
    changed();
    panel.announceSoon(summary);
  }

  let later;
  function remember() {
    clearTimeout(later);
    // Browsers allow a page to change its address only a few times per second.
    later = setTimeout(() => history.replaceState(null, "", write(settings())), 250);
  }

  async function copy() {
    clearTimeout(later);
    history.replaceState(null, "", write(settings()));
    try {
      await navigator.clipboard.writeText(location.href);
      panel.announce("The link is copied.", true);
    } catch {
      panel.announce("The browser did not allow it: copy the address of this page.", true);
    }
  }

  /** Accuracy now, and the share of the weights that flipped in a step of the last 14. */
  function numbers(trainee, at) {
    const records = trainee.records.slice(Math.max(0, at - STEPS_PER_EPOCH), at);
    if (!records.length) return null;
    const flips = average(records.map((record) => record.flips)) / SIZE;
    return [percent(records[records.length - 1].test), flips ? percent(flips) : "none"];
  }

  function reading(trainee, at) {
    const found = numbers(trainee, at);
    return found ? `${found[0]} right, ${found[1]} flip` : "not trained yet";
  }

  function sameWeights(at) {
    const [a, b] = trainees.map((trainee) => trainee.history(Math.min(at, trainee.steps))[0]);
    if (!a || !b) return "";
    const same = a.reduce((sum, weight, i) => sum + (weight === b[i]), 0);
    return `${same} of the first layer's ${a.length} weights agree between the runs.`;
  }

  /** What the pictures show, in words. */
  function summary() {
    const at = position();
    const runs = trainees.map((trainee) => {
      const [right, flips] = numbers(trainee, at) ?? [];
      const { name } = METHODS[trainee.settings.rule];
      if (!right) return `${name}: not trained yet.`;
      return (
        `${name}: ${right} of the held-out digits are right, and ${flips} of the weights flipped ` +
        "per step in the last epoch."
      );
    });
    return `Step ${at} of ${STEPS}. ${runs.join(" ")} ${sameWeights(at)}`.trim();
  }

  function draw() {
    const at = position();
    const cursor = at < STEPS || shown !== null ? at : null;
    const looks = trainees.map(({ settings: { rule } }, k) => ({
      colour: colour(METHODS[rule].colour), dash: k ? [6, 4] : [],
    }));
    const curves = (value) => [
      ...trainees.map(({ ghost }, k) => ({
        values: ghost.map(value), colour: colour("--bop-faint"), dash: looks[k].dash, width: 1,
      })),
      ...trainees.map(({ records }, k) => ({ values: records.map(value), ...looks[k] })),
    ];
    const train = trainees.map(({ records }, k) => ({
      values: records.map((_, n) =>
        100 * average(records.slice(Math.max(0, n - STEPS_PER_EPOCH + 1), n + 1).map((r) => r.train)),
      ),
      ...looks[k], width: 1, alpha: 0.6,
    }));
    const changes = trainees.flatMap((trainee) => trainee.changes);
    drawCurves(panel.canvas("accuracy"), colour, {
      ticks: PERCENT_TICKS, cursor, changes,
      curves: [...train, ...curves(({ test }) => 100 * test)],
    });
    drawCurves(panel.canvas("flips"), colour, {
      ticks: PI_TICKS, cursor, changes,
      curves: curves(({ flips }) => Math.log(flips / SIZE + FLOOR)),
    });
    trainees.forEach((trainee, k) => {
      const { rule } = trainee.settings;
      const { colour: accent, push: name } = METHODS[rule];
      const here = Math.min(at, trainee.steps);
      const past = trainee.history(here);
      const fade = !still.matches;
      if (past.length) drawWeights(panel.canvas("weights", k), colour, { history: past, accent, fade });
      const record = trainee.records[here - 1];
      drawPushes(panel.canvas("pushes", k), colour, { record, rule, accent, name });
    });
    panel.at(at);
    panel.reads(trainees.map((trainee) => reading(trainee, at)), sameWeights(at));
  }

  /** Let the runs take the steps that are due; called once per frame. */
  function advance(seconds) {
    if (!trainees.every(({ idle }) => idle)) return;
    const going = trainees.filter(({ done }) => !done);
    if (!going.length) {
      if (again) return restart(settings(), true);
      [playing, whole] = [false, false];
      panel.announce(summary());
      return changed();
    }
    const pace = whole || still.matches ? Infinity : panel.pace;
    owed = pace === Infinity ? FULL_SPEED : Math.min(owed + pace * seconds, FULL_SPEED);
    const due = Math.floor(owed);
    owed -= due;
    if (due) for (const trainee of going) trainee.advance(due);
  }

  function frame(now) {
    if (playing) advance(Math.min((now - last) / 1000, 0.1));
    last = now;
    if (wanted) {
      panel.state({ playing, newest: Math.max(...trainees.map(({ steps }) => steps)) });
      // Who wants no motion sees a run when it has ended.
      if (!(still.matches && playing)) {
        wanted = false;
        draw();
      }
    }
    requestAnimationFrame(frame);
  }

  function restore(found) {
    if (!found) return false;
    while (trainees.length < found.length) addTrainee(found[trainees.length]);
    while (trainees.length > found.length) trainees.pop().worker.terminate();
    panel.show(found);
    restart(found, true);
    return true;
  }

  if (!restore(read(location.hash))) {
    START.forEach(addTrainee);
    panel.show(START);
    whole = false;
  }
  const follow = (found) => restore(found) && root.scrollIntoView();
  // A link of the text below, to a setting; to the one that the address has, the hash stays. Back from
  // the first such link, the address has none.
  window.addEventListener("hashchange", ({ oldURL }) => {
    const back = !location.hash && new URL(oldURL).hash.startsWith("#run=");
    follow(back ? START : read(location.hash));
  });
  document.addEventListener("click", ({ target }) => {
    if (target.closest('a[href^="#run="]')?.hash === location.hash) follow(read(location.hash));
  });
  new MutationObserver(() => {
    colour = palette();
    changed();
  }).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  new ResizeObserver(changed).observe(root);
  document.fonts?.ready.then(changed);
  panel.scrub((canvas, x) => look(stepAt(canvas, x)));
  requestAnimationFrame(frame);
}
