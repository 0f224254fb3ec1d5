/** The states of a breaker: their order and their words. */

/** @typedef {"open" | "forced_open" | "half_open" | "disabled" | "closed"} State */

/** @type {State[]} The most urgent one first. */
export const STATES = ["open", "forced_open", "half_open", "disabled", "closed"];

/** @param {string} state */
export function word(state) {
  return state.replaceAll("_", " ");
}

/**
 * Whether a breaker is not closed, and yet rejects nothing because of shadow mode.
 * @param {import("./messages.js").BreakerEntry} entry
 */
export function isInShadow({ shadow, state }) {
  return shadow !== null && state !== "closed";
}

/**
 * The place of a breaker in the order of states: shadow mode comes before closed.
 * @param {import("./messages.js").BreakerEntry} entry
 */
export function rank(entry) {
  return isInShadow(entry) ? urgency("closed") - 0.5 : urgency(entry.state);
}

/**
 * The place of a state in the order; an unknown state comes last.
 * @param {string} state
 */
export function urgency(state) {
  const place = STATES.indexOf(/** @type {State} */ (state));
  return place < 0 ? STATES.length : place;
}
