/** What the page says of a breaker, in sentences. */

import { word } from "./states.js";
import { duration } from "./formatting.js";

/** @typedef {import("./board.js").Breaker} Breaker */

/**
 * Why it is in its state: the server's words, without the name and the state that stand above them anyway.
 * @param {Breaker} breaker
 */
export function why({ name, entry }) {
  const text = String(entry.explanation ?? "");
  const state = text.indexOf(` is ${word(entry.state)} for `, name.length);
  const colon = state < 0 ? -1 : text.indexOf(": ", state);
  const rest = colon < 0 ? text : text.slice(colon + 2);
  return rest.charAt(0).toUpperCase() + rest.slice(1);
}

/**
 * What happens next, and how much of the wait is over, from 0 to 1; null where nothing is waited for.
 * @param {Breaker} breaker
 * @param {number} now In ms of the server's time.
 * @returns {{text: string, share: number | null}}
 */
export function next(breaker, now) {
  const { state } = breaker.entry;
  if (state === "half_open") return { text: "A probe decides", share: null };
  if (state === "disabled") return { text: "Admits all calls until reset", share: null };
  if (state === "closed") return { text: "", share: null };
  if (breaker.probeAt === null) return { text: "Rejects all calls until reset", share: null };
  const left = (breaker.probeAt - now) / 1000;
  if (left <= 0) return { text: "The next call is a probe", share: 1 };
  const whole = (breaker.probeAt - breaker.since) / 1000;
  const share = whole > 0 ? Math.min(1, Math.max(0, 1 - left / whole)) : null;
  return { text: `Probe in ${duration(Math.ceil(left))}`, share };
}

/**
 * @param {Breaker} breaker
 * @param {number} now
 */
export function since(breaker, now) {
  return `for ${duration((now - breaker.since) / 1000)}`;
}
