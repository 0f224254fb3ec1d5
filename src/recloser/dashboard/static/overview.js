/** The sentence about all breakers together: what is wrong, and since when. `status` and `top` say the same one. */

import { duration, number, percent, plural, rate } from "./formatting.js";

/** @typedef {import("./messages.js").Overview} Overview */
/** @typedef {import("./messages.js").Group} Group */
/** @typedef {import("./messages.js").Trip} Trip */

const MOST_NOTES = 3;
const TIMEOUTS = ["Timeout", "DeadlineExceeded", "TimedOut"];
const BROKEN_OFF = new Set([
  "ConnectionResetError",
  "ConnectionAbortedError",
  "BrokenPipeError",
  "ReadError",
  "WriteError",
  "RemoteProtocolError",
  "IncompleteReadError",
  "ServerDisconnectedError",
]);
const NOT_FOUND = new Set(["gaierror", "herror", "ClientConnectorDNSError"]);
/** @type {Record<string, string>} */
const TRIGGERS = { fleet_opened: "the fleet opened", fleet_probing: "the fleet opened" };
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * What breakers are open for, in words.
 * @param {Trip} trip
 */
export function causeName({ kind, trigger, error_type: type, error_status: status, peer }) {
  if (kind === "slow_call_rate") return peer ? `slow answers from ${peer}` : "slow answers";
  if (status !== null) return peer ? `${peer} answers ${status}` : `HTTP status ${status}`;
  const error = (type ?? "").slice((type ?? "").lastIndexOf(".") + 1);
  return error ? errorName(error, peer) : TRIGGERS[trigger] ?? "failures";
}

/**
 * @param {string} error
 * @param {string | null} peer
 */
function errorName(error, peer) {
  if (error === "ConnectionRefusedError") return peer ? `connection refused by ${peer}` : "connection refused";
  if (TIMEOUTS.some((each) => error.includes(each))) return peer ? `no answer from ${peer} in time` : "no answer in time";
  if (BROKEN_OFF.has(error)) return peer ? `${peer} broke off` : "connection broken off";
  if (NOT_FOUND.has(error)) return peer ? `${peer} not found (DNS)` : "name not found (DNS)";
  if (error.startsWith("SSL") || error.includes("Certificate")) return peer ? `TLS with ${peer} failed` : "TLS failed";
  return peer ? `${error} from ${peer}` : error;
}

/**
 * The sentence in two parts: what stands out, and the rest.
 * @param {Overview} overview
 * @param {number} now The server's time, in ms.
 * @returns {[string, string]}
 */
export function headline(overview, now) {
  const { counts, total } = overview;
  const groups = openGroups(overview);
  if (groups.length) return openHeadline(overview, groups, now);
  if (counts.forced_open || counts.disabled) return [`${byHand(counts)} by hand`, ", nothing has opened by itself."];
  if (total) return ["", total === 1 ? "The only breaker is closed." : `All ${number(total)} breakers are closed.`];
  const shadow = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return ["", shadow ? `${plural(shadow, "breaker")} in shadow mode.` : "No breakers yet."];
}

/**
 * @param {Overview} overview
 * @param {Group[]} groups
 * @param {number} now
 * @returns {[string, string]}
 */
function openHeadline(overview, groups, now) {
  const [first] = groups;
  const count = openCount(overview);
  const cause = causeName(first.trip);
  const are = count === 1 ? "is" : "are";
  const some = `${number(count)} of ${number(overview.total)} breakers ${are}`;
  const since = moment(first.since, now);
  if (groups.length > 1) return [`${some} open`, `: ${number(first.count)} since ${since}, ${cause}.`];
  if (first.closed && first.closing_since) {
    const have = first.closed === 1 ? "has" : "have";
    return [`${some} still open`, `, ${number(first.closed)} ${have} closed since ${moment(first.closing_since, now)}: ${cause}.`];
  }
  if (count === 1 && first.breaker !== null) return [`${first.breaker} is ${first.state.replaceAll("_", " ")}`, `: ${cause}.`];
  return [`${some} open`, ` since ${since}: ${cause}.`];
}

/** @param {Overview} overview */
function openGroups(overview) {
  return overview.groups.filter(({ count }) => count);
}

/** @param {Overview} overview */
function openCount({ counts }) {
  return (counts.open ?? 0) + (counts.half_open ?? 0);
}

/** @param {Record<string, number>} counts */
function byHand({ forced_open: forced = 0, disabled = 0 }) {
  const parts = /** @type {[number, string][]} */ ([[forced, "forced open"], [disabled, "disabled"]]);
  return parts
    .filter(([count]) => count)
    .map(([count, word]) => `${plural(count, "breaker")} ${count === 1 ? "is" : "are"} ${word}`)
    .join(" and ");
}

/**
 * What else there is to say, in at most three short sentences.
 * @param {Overview} overview
 * @param {number} now
 * @param {number | null} rejected Calls per second; null if that is not known.
 * @param {number | null} offered All calls per second.
 */
export function detail(overview, now, rejected, offered) {
  const groups = openGroups(overview);
  if (!groups.length) return before(overview, now);
  const [first] = groups;
  const parts = [];
  if (rejected && offered) parts.push(`${rate(rejected)} calls/s rejected, ${percent(rejected / offered)} of all calls`);
  const count = openCount(overview);
  const halfOpen = overview.counts.half_open ?? 0;
  if (count === 1) parts.push(`Since ${moment(first.since, now)}, ${duration((now - Date.parse(first.since)) / 1000)}`);
  const causes = groups.length - 1 + overview.other_causes;
  const rest = count - first.count;
  if (causes) parts.push(`${number(rest)} ${rest === 1 ? "is" : "are"} open for ${plural(causes, "other cause")}`);
  if (halfOpen && count > 1) parts.push(`${number(halfOpen)} of them ${halfOpen === 1 ? "is" : "are"} half open`);
  return parts.map((part) => `${part}.`).join(" ");
}

/**
 * @param {Overview} overview
 * @param {number} now
 */
function before({ last_outage: last }, now) {
  if (!last) return "";
  const span = `from ${moment(last.since, now)} to ${moment(last.ended_at, now)}`;
  const text = `Before that: ${plural(last.count, "breaker")} open ${span}, ${causeName(last.trip)}.`;
  return `For ${duration((now - Date.parse(last.ended_at)) / 1000)}. ${text}`;
}

/**
 * What somebody has set by hand, without an end, and may have forgotten; at most three lines, and a rest.
 * @param {Overview} overview
 * @param {number} now
 */
export function notes({ forgotten }, now) {
  const lines = forgotten.slice(0, MOST_NOTES).map(({ breaker, state, since, author }) => {
    const time = duration((now - Date.parse(since)) / 1000);
    return `${breaker} has been ${state.replaceAll("_", " ")} for ${time}, without an end${author ? `, by ${author}` : ""}`;
  });
  const rest = forgotten.length - MOST_NOTES;
  return rest > 0 ? [...lines, `and ${number(rest)} more`] : lines;
}

/**
 * A time of day in UTC, with the day if it is another one.
 * @param {string} at ISO 8601.
 * @param {number} now In ms.
 */
export function moment(at, now) {
  const then = new Date(at);
  const time = then.toISOString().slice(11, 16);
  if (then.toISOString().slice(0, 10) === new Date(now).toISOString().slice(0, 10)) return time;
  return `${DAYS[then.getUTCDay()]} ${then.getUTCDate()} ${MONTHS[then.getUTCMonth()]} ${time}`;
}
