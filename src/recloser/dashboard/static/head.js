/** What is said first: the sentence, what was set by hand and may be forgotten, the chart, and whether this is live. */

import { find, make, setText } from "./dom.js";
import { number, timeOfDay } from "./formatting.js";
import { sumOf } from "./group.js";
import { detail, headline, notes } from "./overview.js";
import { isInShadow } from "./states.js";
import { drawCount, makeStrip } from "./strip.js";

/** @typedef {import("./board.js").Board} Board */

const AXIS_MS = [1800000, 1200000, 600000];

export class Head {
  #board;
  #chart = makeStrip();
  #lostAt = 0;
  #isLost = false;

  /** @param {Board} board */
  constructor(board) {
    this.#board = board;
    find("#chart .drawing").append(this.#chart);
  }

  show() {
    const { overview, about } = this.#board;
    if (!overview) return;
    document.body.toggleAttribute("data-known", true);
    const now = this.#board.clock.now();
    const [lead, rest] = headline(overview, now);
    setText(find("#headline .lead"), lead);
    setText(find("#headline .rest"), rest);
    const enforcing = [...this.#board.breakers.values()].filter(({ entry }) => !entry.shadow);
    const rejected = sumOf(enforcing, "rejections", this.#board);
    setText(find("#detail"), detail(overview, now, rejected, rejected + sumOf(enforcing, "calls", this.#board)));
    this.#showNotes(notes(overview, now));
    setText(find("#service"), about.service ?? "Circuit breakers");
    setText(find("#instance"), `This process only: ${overview.instance}`);
    this.#showChart(now);
    this.#showTitle();
  }

  /** Shows the time, or for how long there has been no news. */
  tick() {
    if (!this.#board.isKnown) return;
    setText(find("#clock"), `${timeOfDay(this.#board.clock.now())} UTC`);
    if (this.#isLost) setText(find("#lost .seconds"), `No news for ${number((Date.now() - this.#lostAt) / 1000)} s.`);
  }

  /**
   * @param {"live" | "reconnecting"} state
   * @param {number} at In ms.
   */
  setConnection(state, at) {
    this.#isLost = state !== "live";
    this.#lostAt = at;
    document.body.toggleAttribute("data-lost", this.#isLost && this.#board.isKnown);
    find("#lost").hidden = !this.#isLost || !this.#board.isKnown;
    setText(find("#lost .as-of"), `What you see is as of ${timeOfDay(at)} UTC and may be wrong by now.`);
    this.tick();
    this.#showTitle();
  }

  #showTitle() {
    const { overview, about } = this.#board;
    const name = about.service ? `${about.service}: breakers` : "Circuit breakers";
    const open = (overview?.counts.open ?? 0) + (overview?.counts.half_open ?? 0);
    document.title = this.#isLost ? `(?) ${name}` : open ? `(${open}) ${name}` : name;
  }

  /** @param {string[]} lines */
  #showNotes(lines) {
    const list = find("#notes");
    list.hidden = !lines.length;
    const shown = lines.join("\n");
    if (list.dataset.shown === shown) return;
    list.dataset.shown = shown;
    list.replaceChildren(...lines.map((line) => make("li", "", line)));
  }

  /** @param {number} now */
  #showChart(now) {
    const rejecting = [...this.#board.breakers.values()].filter(({ entry }) => !isInShadow(entry) && entry.group !== "manual");
    const all = rejecting.map(({ states }) => states.until(now));
    const touched = all.filter((slots) => slots.some((state) => state && state !== "closed"));
    find("#chart").hidden = !touched.length;
    drawCount(this.#chart, touched);
    const { open = 0, half_open: halfOpen = 0 } = this.#board.overview?.counts ?? {};
    setText(find("#chart .number"), number(open + halfOpen));
    const times = [...AXIS_MS.map((ms) => timeOfDay(now - ms).slice(0, 5)), "now"];
    for (const [place, element] of [...find("#chart .axis").children].entries()) setText(element, times[place]);
  }
}
