/** What the page says about breakers, made from fields. `recloser top` says it in the same words. */

import { causeText } from "./causes.js";
import { duration, number, percent, plural } from "./formatting.js";

/** @typedef {import("./board.js").Breaker} Breaker */
/** @typedef {import("./messages.js").BreakerEntry} BreakerEntry */
/** @typedef {import("./messages.js").FleetEntry} FleetEntry */

const MOST_PROBES = 3;
const LONGEST_SECONDS = 1e12;

/**
 * Why a breaker is in its state, with the figures.
 * @param {Breaker} breaker
 */
export function why({ entry }) {
  const cause = entry.cause ? causeText(entry.cause) : "";
  const attempt = entry.state === "open" && entry.attempt > 1 ? ` (attempt ${number(entry.attempt)})` : "";
  return [cause + attempt, ...figures(entry)].filter(Boolean).join("; ");
}

/** @param {BreakerEntry} entry */
function figures(entry) {
  if (entry.state === "closed") return [counts(entry), `opens at ${entry.rule}`];
  if (entry.state === "disabled") return [counts(entry)];
  if (entry.state !== "half_open") return [];
  const lastError = entry.last_error === null ? "" : `last error ${entry.last_error}`;
  if (followsFleet(entry)) return [lastError];
  const running = `${plural(entry.probes_in_flight, "probe")} running`;
  const passed = `${number(Number(entry.probes_passed))} of ${number(Number(entry.success_threshold))}`;
  return [lastError, `${running}, ${passed} succeeded`];
}

/** @param {BreakerEntry} entry */
function counts(entry) {
  const parts = [`${plural(entry.failure_count, "failure")} counted`];
  if (entry.failure_rate !== null) parts.push(`failure rate ${percent(entry.failure_rate)}`);
  if (entry.slow_call_rate !== null) parts.push(`slow call rate ${percent(entry.slow_call_rate)}`);
  return parts.join(", ");
}

/**
 * Whether another process of the fleet runs the probe.
 * @param {BreakerEntry} entry
 */
function followsFleet(entry) {
  return entry.cause?.trigger === "fleet_probing" && entry.probes_in_flight === 0;
}

/**
 * What happens next; nothing while a breaker is closed.
 * @param {Breaker} breaker
 * @param {number} now In ms of the server's time.
 */
export function nextStep({ entry, probeAt, since }, now) {
  if (entry.state === "closed") return "";
  if (entry.state === "half_open") return followsFleet(entry) ? "closes or opens as the fleet does" : "a probe decides";
  if (entry.state === "disabled") return disabledUntil(entry.cause?.for_seconds ?? null, since, now);
  if (probeAt === null) return entry.shadow ? "stays so until reset" : "rejects all calls until reset";
  const left = (probeAt - now) / 1000;
  return left > 0 ? `probe in ${duration(Math.ceil(Math.min(left, LONGEST_SECONDS)))}` : "the next call is a probe";
}

/**
 * When a disabled breaker closes.
 * @param {number | null} forSeconds
 * @param {number} since In ms of the server's time.
 * @param {number} now In ms of the server's time.
 */
function disabledUntil(forSeconds, since, now) {
  if (forSeconds === null) return "admits all calls until reset";
  const left = forSeconds - (now - since) / 1000;
  return left > 0 ? `admits all calls for ${duration(Math.ceil(Math.min(left, LONGEST_SECONDS)))} more` : "the next call closes it";
}

/**
 * How much of the wait for a probe is over, from 0 to 1; null if there is nothing to wait for.
 * @param {Breaker} breaker
 * @param {number} now In ms of the server's time.
 */
export function waited({ entry, probeAt, since }, now) {
  if (probeAt === null || !["open", "forced_open"].includes(entry.state)) return null;
  if (probeAt <= now) return 1;
  return probeAt > since ? Math.min(1, Math.max(0, 1 - (probeAt - now) / (probeAt - since))) : null;
}

/**
 * How long a breaker has been in its state.
 * @param {Breaker} breaker
 * @param {number} now In ms of the server's time.
 */
export function timeInState({ since }, now) {
  return `for ${duration((now - since) / 1000)}`;
}

/**
 * What a breaker does differently from others, and what came of it; nothing if it does nothing differently.
 * @param {Breaker} breaker
 */
export function mode({ entry }) {
  if (!entry.shadow) return "";
  const { would_reject, failed, succeeded } = entry.shadow;
  const ends = `(${number(failed)} failed, ${number(succeeded)} succeeded)`;
  return `shadow: rejects nothing${would_reject ? `, would have rejected ${number(would_reject)} ${ends}` : ""}`;
}

/**
 * What has happened since a breaker was closed; nothing if it is closed, or has just opened.
 * @param {Breaker} breaker
 * @param {number} now In ms of the server's time.
 */
export function outage({ entry }, now) {
  const course = entry.outage;
  if (!course || !(course.probes_failed || course.rejected)) return "";
  const kinds = Object.entries(course.errors).map(([kind, times]) => `${number(times)} x ${kind}`).join(", ");
  return [
    `outage for ${duration((now - Date.parse(course.since)) / 1000)}`,
    course.probes_failed ? `${plural(course.probes_failed, "probe")} failed` : "",
    course.probes_failed && kinds ? `errors so far: ${kinds}` : "",
    course.rejected ? `${plural(course.rejected, "call")} rejected` : "",
    course.probes_failed ? `it began with: ${causeText(course.cause)}` : "",
  ].filter(Boolean).join("; ");
}

/**
 * Whether the fleet is reachable, and who makes which probe; nothing if there is no fleet.
 * @param {FleetEntry | null} fleet
 */
export function fleetStatus(fleet) {
  if (!fleet) return "";
  const problem = fleet.problem ?? "each process decides alone";
  const probes = Object.entries(fleet.probes ?? {}).map(([name, worker]) => `${worker} probes ${name}`);
  const more = probes.length - MOST_PROBES;
  return [
    fleet.connected ? "fleet reachable" : `fleet unreachable: ${problem}`,
    ...probes.slice(0, MOST_PROBES),
    ...(more > 0 ? [plural(more, "more probe")] : []),
  ].join("; ");
}

/**
 * How much the client has missed because it was too much at once; nothing if it has missed nothing.
 * @param {number} updates
 * @param {number} transitions
 */
export function missed(updates, transitions) {
  const parts = [updates && plural(updates, "update"), transitions && plural(transitions, "transition")].filter(Boolean);
  return parts.length ? `${parts.join(" and ")} missed` : "";
}
