/**
 * What the page knows: the breakers, the latest transitions, and the server itself.
 *
 * Values that run with the server's clock are kept as moments.
 */

import { ServerClock } from "./clock.js";
import { History } from "./history.js";
import { isInShadow } from "./states.js";
import { States } from "./strip.js";

/** @typedef {import("./messages.js").About} About */
/** @typedef {import("./messages.js").BreakerEntry} BreakerEntry */
/** @typedef {import("./messages.js").FleetEntry} FleetEntry */
/** @typedef {import("./messages.js").Message} Message */
/** @typedef {import("./messages.js").Overview} Overview */
/** @typedef {import("./messages.js").Snapshot} Snapshot */
/** @typedef {import("./messages.js").TransitionEntry} TransitionEntry */
/** @typedef {import("./messages.js").Update} Update */

/**
 * @typedef {object} Breaker
 * @property {string} name
 * @property {BreakerEntry} entry What the server says about it.
 * @property {number} since When its state began, in ms of the server's time.
 * @property {number | null} probeAt When a probe may go through; null if none will without a reset.
 * @property {History} history
 * @property {States} states Those of the last thirty minutes.
 * @property {number} readAt When its totals were first read.
 */

const MOST_TRANSITIONS = 200;

/** @type {About} */
const UNKNOWN = { version: 2, control: false, interval_seconds: 1, run: "" };

export class Board {
  /** @type {Map<string, Breaker>} */
  breakers = new Map();
  /** @type {TransitionEntry[]} The oldest first. */
  transitions = [];
  about = UNKNOWN;
  /** @type {FleetEntry | null} */
  fleet = null;
  /** @type {Overview | null} */
  overview = null;
  /** How many updates this page has missed. */
  missedUpdates = 0;
  /** How many transitions the server has left out because they were too many at once. */
  missedTransitions = 0;
  /** @type {number | null} The number of the latest transition. */
  #lastSeq = null;
  /** Whether the server has sent anything. */
  isKnown = false;
  clock = new ServerClock();

  /**
   * Starts over from the whole state. Nothing is kept of another run of the server.
   * @param {Snapshot} data
   */
  replace(data) {
    if (data.dashboard.run !== this.about.run) {
      this.missedUpdates = this.missedTransitions = 0;
      this.#lastSeq = null;
    }
    this.about = data.dashboard;
    this.clock = new ServerClock();
    this.breakers.clear();
    this.#countMissed(data.transitions);
    this.transitions = data.transitions.slice(-MOST_TRANSITIONS);
    this.isKnown = true;
    const at = this.#receive(data);
    for (const [name, entry] of Object.entries(data.breakers)) this.#merge(name, entry, at);
    const { slot = 0, breakers = {} } = data.history ?? {};
    for (const [name, runs] of Object.entries(breakers)) this.breakers.get(name)?.states.take(runs, slot);
  }

  /**
   * Takes over what has changed.
   * @param {Update} data
   * @returns {TransitionEntry[]} The new ones.
   */
  update(data) {
    const at = this.#receive(data);
    for (const name of data.removed) this.breakers.delete(name);
    for (const [name, entry] of Object.entries(data.changed)) this.#merge(name, entry, at);
    this.#countMissed(data.transitions);
    this.transitions = this.transitions.concat(data.transitions).slice(-MOST_TRANSITIONS);
    return data.transitions;
  }

  /** How many breakers are in each state, without those that shadow mode keeps from rejecting anything. */
  counts() {
    /** @type {Map<string, number>} */
    const counts = new Map();
    for (const { entry } of this.breakers.values()) {
      if (!isInShadow(entry)) counts.set(entry.state, (counts.get(entry.state) ?? 0) + 1);
    }
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

  /** @param {Message} data */
  #receive(data) {
    const at = Date.parse(data.timestamp);
    const back = this.clock.adjust(at);
    if (back) for (const breaker of this.breakers.values()) this.#putBack(breaker, back, at);
    this.missedUpdates += data.dropped;
    this.fleet = data.fleet;
    this.overview = data.overview ?? null;
    return at;
  }

  /**
   * @param {string} name
   * @param {Partial<BreakerEntry>} changed
   * @param {number} at
   */
  #merge(name, changed, at) {
    const old = this.breakers.get(name);
    if (!old && !("state" in changed)) return; // its removal is on the way
    const breaker = old ?? this.#newBreaker(name, at);
    const entry = { ...breaker.entry, ...changed };
    if (old) breaker.history.add(at, Math.min(this.#readingSpan(), at - old.readAt) || 1, growth(old.entry, entry));
    if (typeof changed.time_in_state_seconds === "number") breaker.since = at - 1000 * changed.time_in_state_seconds;
    if (changed.retry_after !== undefined) breaker.probeAt = changed.retry_after === null ? null : at + 1000 * changed.retry_after;
    if (!old) breaker.states = new States(entry.state, breaker.since, at);
    else if (old.entry.state !== entry.state) breaker.states.note(entry.state, at);
    breaker.entry = entry;
    this.breakers.set(name, breaker);
  }

  /**
   * @param {string} name
   * @param {number} at
   * @returns {Breaker}
   */
  #newBreaker(name, at) {
    const entry = /** @type {BreakerEntry} */ ({});
    return { name, entry, since: at, probeAt: null, history: this.#newHistory(at), states: new States("closed", at, at), readAt: at };
  }

  /**
   * Counts the transitions whose numbers are left out; those from before the page was opened don't count.
   * @param {TransitionEntry[]} transitions
   */
  #countMissed(transitions) {
    const last = this.#lastSeq;
    this.#lastSeq = transitions.at(-1)?.seq ?? last ?? 0;
    if (last === null) return;
    const received = transitions.filter(({ seq }) => seq > last).length;
    this.missedTransitions += Math.max(0, this.#lastSeq - last - received);
  }

  /**
   * Moves the moments of a breaker with the server's clock: the server sends again only what differs from what it was
   * going to be.
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

  /** The longest time between two readings of a breaker: the server reads a bounded number of them per update. */
  #readingSpan() {
    const rounds = Math.ceil(this.breakers.size / (this.about.breakers_per_update ?? Infinity)) || 1;
    return 1000 * rounds * this.about.interval_seconds;
  }
}

/**
 * How much the totals have grown. A smaller total belongs to a new breaker with an old name, and counts from zero.
 * @param {BreakerEntry} old
 * @param {BreakerEntry} entry
 */
function growth(old, entry) {
  const of = (/** @type {`${"success" | "failure" | "ignored" | "cancelled" | "rejected"}_total`} */ key) => entry[key] - (entry[key] < old[key] ? 0 : old[key]);
  const failures = of("failure_total");
  const calls = failures + of("success_total") + of("ignored_total") + of("cancelled_total");
  return { calls, failures, rejections: of("rejected_total") };
}
