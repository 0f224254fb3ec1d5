/**
 * What the page knows: the breakers, the latest transitions, and of the server itself.
 *
 * Values that run with the server's clock are kept as the moments that they mean.
 */

import { ServerClock } from "./clock.js";
import { History } from "./history.js";

const MOST_TRANSITIONS = 200;

/**
 * @typedef {object} Breaker
 * @property {string} name
 * @property {Record<string, any>} entry What the server says of it.
 * @property {number} since When its state began, in ms of the server's time.
 * @property {number | null} probeAt When a probe may go through.
 * @property {History} history
 * @property {number} readAt When its totals were first read.
 */

/** @typedef {{seq: number, at: string, breaker: string, old: string, new: string, cause: string}} Transition */

const IDLE = { version: 1, control: false, interval_seconds: 1, run: "" };

export class Board {
  /** @type {Map<string, Breaker>} */
  breakers = new Map();
  /** @type {Transition[]} The oldest first. */
  transitions = [];
  /** @type {Record<string, any>} */
  about = IDLE;
  /** @type {Record<string, any> | null} */
  fleet = null;
  /** How many updates this page has missed. */
  dropped = 0;
  /** How many transitions were too many at once to be told. */
  untold = 0;
  /** @type {number | null} The number of the latest transition that is known. */
  #lastSeq = null;
  /** Whether anything has been told. */
  isKnown = false;
  clock = new ServerClock();

  /**
   * Starts over from the whole state. Of another run of the server nothing is kept.
   * @param {Record<string, any>} data
   */
  replace(data) {
    if (data.dashboard.run !== this.about.run) {
      this.dropped = this.untold = 0;
      this.#lastSeq = null;
    }
    this.about = data.dashboard;
    this.clock = new ServerClock();
    this.breakers.clear();
    this.#countUntold(data.transitions);
    this.transitions = data.transitions.slice(-MOST_TRANSITIONS);
    this.isKnown = true;
    const at = this.#hear(data);
    for (const [name, entry] of Object.entries(data.breakers)) this.#merge(name, entry, at);
  }

  /**
   * Takes over what has changed.
   * @param {Record<string, any>} data
   * @returns {Transition[]} Those that are new.
   */
  update(data) {
    const at = this.#hear(data);
    for (const name of data.removed) this.breakers.delete(name);
    for (const [name, entry] of Object.entries(data.changed)) this.#merge(name, entry, at);
    this.#countUntold(data.transitions);
    this.transitions = this.transitions.concat(data.transitions).slice(-MOST_TRANSITIONS);
    return data.transitions;
  }

  /** How many breakers are in each state. */
  counts() {
    /** @type {Map<string, number>} */
    const counts = new Map();
    for (const { entry } of this.breakers.values()) counts.set(entry.state, (counts.get(entry.state) ?? 0) + 1);
    return counts;
  }

  /** Until when all slots of histories are complete, in ms. */
  completeUntil() {
    return this.clock.now() - this.#readingSpan();
  }

  /** The length of the slots of histories, in ms. */
  slotMs() {
    return 1000 * Math.max(1, this.about.interval_seconds);
  }

  /** @param {Record<string, any>} data */
  #hear(data) {
    const at = Date.parse(data.timestamp);
    const back = this.clock.hear(at);
    if (back) for (const breaker of this.breakers.values()) this.#putBack(breaker, back, at);
    this.dropped += data.dropped;
    this.fleet = data.fleet;
    return at;
  }

  /**
   * @param {string} name
   * @param {Record<string, any>} changed
   * @param {number} at
   */
  #merge(name, changed, at) {
    const old = this.breakers.get(name);
    if (!old && !("state" in changed)) return; // its removal is on the way
    const breaker = old ?? { name, entry: {}, since: at, probeAt: null, history: this.#newHistory(at), readAt: at };
    const entry = { ...breaker.entry, ...changed };
    if (old) breaker.history.add(at, Math.min(this.#readingSpan(), at - old.readAt) || 1, growth(old.entry, entry));
    if ("time_in_state_seconds" in changed) breaker.since = at - 1000 * changed.time_in_state_seconds;
    if ("retry_after" in changed) breaker.probeAt = changed.retry_after === null ? null : at + 1000 * changed.retry_after;
    breaker.entry = entry;
    this.breakers.set(name, breaker);
  }

  /**
   * Counts the transitions whose numbers are left out; what was before the page was opened is not missed.
   * @param {Transition[]} transitions
   */
  #countUntold(transitions) {
    const last = this.#lastSeq;
    this.#lastSeq = transitions.at(-1)?.seq ?? last ?? 0;
    if (last !== null) this.untold += Math.max(0, this.#lastSeq - last - transitions.filter(({ seq }) => seq > last).length);
  }

  /**
   * Moves what is known of a breaker with the server's clock; the server only tells anew what did not run on as it should.
   * @param {Breaker} breaker
   * @param {number} back In ms.
   * @param {number} at
   */
  #putBack(breaker, back, at) {
    breaker.since -= back;
    if (breaker.probeAt !== null) breaker.probeAt -= back;
    breaker.readAt -= back;
    breaker.history = this.#newHistory(at);
  }

  /** @param {number} at */
  #newHistory(at) {
    return new History(at, this.slotMs());
  }

  /** How long ago, at most, a breaker was read before it is read again: the server reads so many per update. */
  #readingSpan() {
    const rounds = Math.ceil(this.breakers.size / (this.about.breakers_per_update ?? Infinity)) || 1;
    return 1000 * rounds * this.about.interval_seconds;
  }
}

/**
 * What totals have grown by. A total that went back is of a new breaker with an old name, and counts from zero.
 * @param {Record<string, any>} old
 * @param {Record<string, any>} entry
 */
function growth(old, entry) {
  const of = (/** @type {string} */ key) => entry[key] - (entry[key] < old[key] ? 0 : old[key]);
  const failures = of("failure_total");
  const calls = failures + of("success_total") + of("ignored_total") + of("cancelled_total");
  return { calls, failures, rejections: of("rejected_total") };
}
