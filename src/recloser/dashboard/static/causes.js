/** The cause of a transition in words, made from its fields. `recloser top` says it in the same words. */

import { number, percent, plural, seconds } from "./formatting.js";
import { word } from "./states.js";

/** @typedef {import("./messages.js").CauseFields} CauseFields */

/** @type {Record<string, string>} */
const TEXTS = {
  wait_elapsed: "the reset timeout has elapsed and a call arrived",
  disable_ended: "the time that it was disabled for has elapsed",
  probe_failed: "a probe failed",
  probe_timed_out: "a probe did not end in time",
  probe_passed_late: "a probe that had run out of time succeeded after all",
  fleet_opened: "the fleet opened",
  fleet_probing: "another process of the fleet runs the probe",
  fleet_closed: "a probe of the fleet succeeded",
};

/**
 * The cause as a part of a sentence, with the last error.
 * @param {CauseFields} cause
 */
export function causeText(cause) {
  return cause.last_error === null ? withoutError(cause) : `${withoutError(cause)}; last error ${cause.last_error}`;
}

/** @param {CauseFields} cause */
function withoutError(cause) {
  const { trigger } = cause;
  const reason = cause.reason === null ? "" : `: ${cause.reason}`;
  const limit = cause.for_seconds === null ? "" : ` for ${seconds(cause.for_seconds)}`;
  if (trigger === "tripped") return tripped(cause);
  if (trigger === "probes_passed") {
    const threshold = Number(cause.threshold);
    return `${number(Number(cause.observed))} of ${plural(threshold, "probe")} succeeded`;
  }
  if (trigger === "forced_open") {
    const by = cause.author === null ? "" : ` by ${cause.author}`;
    return `forced open${by}${limit || " until reset"}${reason}`;
  }
  if (trigger === "disabled" || trigger === "reset") {
    return `${trigger} by ${cause.author ?? "hand"}${limit}${reason}`;
  }
  return TEXTS[trigger] ?? word(trigger);
}

/** @param {CauseFields} cause */
function tripped(cause) {
  const { kind } = cause;
  const observed = Number(cause.observed);
  const threshold = Number(cause.threshold);
  const counted = `${number(Number(cause.counted))} of ${number(Number(cause.calls))} calls`;
  if (kind === "consecutive_failures") return `${plural(observed, "consecutive failure")} (threshold ${number(threshold)})`;
  if (kind === "failure_count") return `${plural(observed, "failure")} in ${windowText(cause)} (threshold ${number(threshold)})`;
  if (kind === "failure_rate") return `failure rate ${percent(observed)} (${counted} failed; threshold ${percent(threshold)})`;
  if (kind === "slow_call_rate") {
    const slow = `took longer than ${seconds(Number(cause.slow_call_seconds))}`;
    return `slow call rate ${percent(observed)} (${counted} ${slow}; threshold ${percent(threshold)})`;
  }
  return "the trip rule was met";
}

/** @param {CauseFields} cause */
function windowText({ window }) {
  if (window?.calls !== undefined) return `the last ${number(window.calls)} calls`;
  return `the last ${seconds(Number(window?.seconds))}`;
}
