/** Numbers and times as people read them. `recloser top` formats them alike. */

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TIME = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: "UTC" });
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;
const LONGEST_SECONDS = 1e12;
/** @type {[number, string][]} */
const UNITS = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];

/**
 * A count, with commas between thousands.
 * @param {number} value
 */
export function number(value) {
  return NUMBER.format(value);
}

/**
 * A count with its noun.
 * @param {number} count
 * @param {string} noun In the singular.
 */
export function plural(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * A number rounded to significant digits, without zeros at the end.
 * @param {number} value
 * @param {number} [digits]
 */
export function significant(value, digits = 3) {
  return String(Number(value.toPrecision(digits)));
}

/**
 * A share from 0 to 1 as a percentage.
 * @param {number} share
 */
export function percent(share) {
  return `${significant(100 * share)} %`;
}

/**
 * A rate in three digits; a rate above zero never reads as zero.
 * @param {number} value
 */
export function rate(value) {
  if (value <= 0) return "0";
  if (value < 0.01) return "<0.01";
  const rounded = Number(significant(value));
  const [size, unit] = UNITS.find(([least]) => rounded >= least) ?? [1, ""];
  return significant(rounded / size) + unit;
}

/**
 * A rate in a column of them: whole from 10 on, below with one decimal; a dash for none, nothing if it is not known.
 * @param {number | null} value
 */
export function perSecond(value) {
  if (value === null) return "";
  if (value <= 0) return "–";
  if (value < 0.1) return "<0.1";
  return value < 9.95 ? value.toFixed(1) : number(value);
}

/**
 * A number of seconds as it was configured.
 * @param {number} value
 */
export function seconds(value) {
  return `${significant(value, 6)} s`;
}

/**
 * A duration in at most two units: `27 s`, `4 min 5 s`, `3 h 2 min`, `2 d 3 h`.
 * @param {number} value In seconds.
 */
export function duration(value) {
  const whole = Math.max(0, Math.floor(Math.min(value, LONGEST_SECONDS)));
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return pair(whole, [MINUTE, "min"], [1, "s"]);
  if (whole < DAY) return pair(whole, [HOUR, "h"], [MINUTE, "min"]);
  return pair(whole, [DAY, "d"], [HOUR, "h"]);
}

/**
 * A duration in a column of them: minutes without seconds.
 * @param {number} value In seconds.
 */
export function shortDuration(value) {
  return duration(value >= MINUTE ? Math.floor(value / MINUTE) * MINUTE : value);
}

/**
 * @param {number} whole
 * @param {[number, string]} large
 * @param {[number, string]} small
 */
function pair(whole, [largeSize, largeUnit], [smallSize, smallUnit]) {
  const rest = Math.floor((whole % largeSize) / smallSize);
  return `${Math.floor(whole / largeSize)} ${largeUnit}${rest ? ` ${rest} ${smallUnit}` : ""}`;
}

/**
 * The time of day in UTC, as logs of servers have it.
 * @param {number | string} when Milliseconds since 1970, or ISO 8601.
 */
export function timeOfDay(when) {
  return TIME.format(new Date(when));
}

/**
 * A text as it stands at the beginning of a sentence.
 * @param {string} text
 */
export function capitalized(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
