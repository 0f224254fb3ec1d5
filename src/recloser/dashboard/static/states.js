/** The states of a breaker: their order and their words. */

/** @typedef {"open" | "forced_open" | "half_open" | "disabled" | "closed"} State */

/** @type {State[]} The most urgent one first. */
export const STATES = ["open", "forced_open", "half_open", "disabled", "closed"];

/** @param {string} state */
export function word(state) {
  return state.replaceAll("_", " ");
}

/**
 * The place of a state in the order; an unknown state comes last.
 * @param {string} state
 */
export function urgency(state) {
  const place = STATES.indexOf(/** @type {State} */ (state));
  return place < 0 ? STATES.length : place;
}
