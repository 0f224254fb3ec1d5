/** Prints what the page's modules make of the vectors, as JSON; `test_vectors.py` compares it. */

import vectors from "../vectors.json" with { type: "json" };
import { Board } from "../../../src/recloser/dashboard/static/board.js";
import { causeText } from "../../../src/recloser/dashboard/static/causes.js";
import * as formatting from "../../../src/recloser/dashboard/static/formatting.js";
import { detail, headline, notes } from "../../../src/recloser/dashboard/static/overview.js";
import { fleetStatus, missed, mode, nextStep, outage, timeInState, waited, why } from "../../../src/recloser/dashboard/static/sentences.js";
import { word } from "../../../src/recloser/dashboard/static/states.js";

const NAME = "payments";
const { timestamp } = vectors;

/** @type {Record<string, (...values: any[]) => string>} */
const FORMATS = { ...formatting };

/** @param {{entry: any, seconds_later: number}} vector */
function said({ entry, seconds_later: secondsLater }) {
  const board = new Board();
  const dashboard = { version: 2, control: false, interval_seconds: 1, run: "a" };
  board.replace({ timestamp, dashboard, breakers: { [NAME]: entry }, transitions: [], fleet: null, dropped: 0 });
  const breaker = board.breakers.get(NAME);
  if (!breaker) throw new Error("the board has no such breaker");
  const now = Date.parse(timestamp) + 1000 * secondsLater;
  return {
    time_in_state: timeInState(breaker, now),
    why: why(breaker),
    next_step: nextStep(breaker, now),
    waited: waited(breaker, now),
    mode: mode(breaker),
    outage: outage(breaker, now),
  };
}

/** @param {any} vector */
function overviewSaid({ overview: given, rejected = null, offered = null }) {
  const overview = { ...vectors.overviews[0].overview, ...given };
  const now = Date.parse(timestamp);
  return { headline: headline(overview, now), detail: detail(overview, now, rejected, offered), notes: notes(overview, now) };
}

const results = {
  words: vectors.words.map(({ state }) => word(state)),
  formats: vectors.formats.map(({ format, with: values }) => FORMATS[format](...values)),
  missed: vectors.missed.map(({ updates, transitions }) => missed(updates, transitions)),
  fleets: vectors.fleets.map(({ fleet }) => fleetStatus(/** @type {any} */ (fleet))),
  causes: vectors.causes.map(({ cause }) => causeText(/** @type {any} */ (cause))),
  overviews: vectors.overviews.map(overviewSaid),
  others: vectors.others.map(said),
  breakers: vectors.breakers.map(said),
};
console.log(JSON.stringify(results));
