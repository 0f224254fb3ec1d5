/** Numbers and times as people read them. */

const NUMBER = new Intl.NumberFormat("en");
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** @param {number} value */
export function number(value) {
  return NUMBER.format(value);
}

/**
 * A rate in three digits; what is not zero never reads as zero.
 * @param {number | null} value
 */
export function rate(value) {
  if (value === null) return "–";
  if (value <= 0) return "0";
  return value < 0.01 ? "<0.01" : SHORT.format(value);
}

/** @param {number | null} value 0..1 */
export function percent(value) {
  return value === null ? "–" : `${(100 * value).toFixed(value < 0.1 ? 1 : 0)} %`;
}

/**
 * A duration in at most two units: `27 s`, `4 min 5 s`, `3 h 2 min`, `2 d 3 h`.
 * @param {number} seconds
 */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(whole, 60, "min", 1, "s");
  if (whole < 86400) return pair(whole, 3600, "h", 60, "min");
  return pair(whole, 86400, "d", 3600, "h");
}

/**
 * @param {number} whole
 * @param {number} large
 * @param {string} largeWord
 * @param {number} small
 * @param {string} smallWord
 */
function pair(whole, large, largeWord, small, smallWord) {
  const rest = Math.floor((whole % large) / small);
  return `${Math.floor(whole / large)} ${largeWord}${rest ? ` ${rest} ${smallWord}` : ""}`;
}

/**
 * The time of day, in the reader's zone.
 * @param {number | string} when Milliseconds since 1970, or ISO 8601.
 */
export function timeOfDay(when) {
  return TIME.format(new Date(when));
}

/**
 * @param {number} count
 * @param {string} one
 */
export function plural(count, one) {
  return `${number(count)} ${one}${count === 1 ? "" : "s"}`;
}
