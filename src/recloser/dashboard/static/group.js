/** One cause: its head, and the rows of the breakers that are open for it. A part of the table. */

import { find, make, setText } from "./dom.js";
import { capitalized, number, percent, perSecond, plural, shortDuration, timeOfDay } from "./formatting.js";
import { icon } from "./icons.js";
import { causeName } from "./overview.js";
import { Row } from "./row.js";
import { drawShare, makeStrip } from "./strip.js";

/** @typedef {import("./board.js").Board} Board */
/** @typedef {import("./board.js").Breaker} Breaker */
/** @typedef {import("./messages.js").Group} GroupFields */

const STEP = 100;
/** @type {Record<string, {title: string, state: string}>} */
const KINDS = {
  manual: { title: "Set by hand", state: "forced_open" },
  shadow: { title: "In shadow mode, would be open", state: "shadow" },
  closed: { title: "Closed", state: "closed" },
};

export class Group {
  element = make("tbody", "group");
  #head = make("tr", "head");
  #more = make("tr", "more");
  #strip = makeStrip();
  #actions;
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** @type {Breaker[]} */
  #breakers = [];
  /** How many rows are shown; null until somebody asks for more. */
  #shown = /** @type {number | null} */ (null);
  #isFolded = /** @type {boolean | null} */ (null);

  /**
   * @param {string} key
   * @param {{showDetails: (name: string) => void, control: (name: string) => void, changed: () => void}} actions
   */
  constructor(key, actions) {
    this.key = key;
    this.#actions = actions;
    this.#makeHead();
    this.#makeMore();
  }

  #makeHead() {
    const state = make("td", "kind");
    state.append(icon(KINDS[this.key]?.state ?? "open"), make("span", "count"));
    const title = make("th", "title");
    title.setAttribute("scope", "rowgroup");
    const fold = make("button", "fold");
    fold.setAttribute("type", "button");
    fold.append(make("span", "text"));
    fold.addEventListener("click", () => {
      this.#isFolded = fold.getAttribute("aria-expanded") === "true";
      this.#actions.changed();
    });
    title.append(fold, make("span", "about"));
    const past = make("td", "past");
    past.append(this.#strip);
    this.#head.append(state, title, make("td", "rejections"), make("td", "calls"), make("td", "for"), make("td", "next"), past);
    this.element.dataset.state = KINDS[this.key]?.state ?? "open";
    this.element.append(this.#head);
  }

  #makeMore() {
    const cell = make("td");
    const button = make("button", "show-more");
    button.setAttribute("type", "button");
    button.addEventListener("click", () => {
      this.#shown = Math.max(this.#shown ?? 0, this.#rows.size) + STEP;
      this.#actions.changed();
    });
    cell.setAttribute("colspan", "6");
    cell.append(button, make("span", "rest"));
    this.#more.append(make("td"), cell);
  }

  /**
   * @param {Breaker[]} breakers In their order.
   * @param {Board} board
   * @param {{preview: number, folded: boolean, hasHead: boolean, cause: GroupFields | undefined, focused: string | undefined}} look
   */
  show(breakers, board, look) {
    this.#breakers = breakers;
    this.#head.hidden = !look.hasHead;
    const isUsed = this.element.contains(document.activeElement);
    const isFolded = look.hasHead && (this.#isFolded ?? (look.folded && !isUsed));
    let count = isFolded ? 0 : this.#shown ?? look.preview;
    if (!isFolded && isUsed) count = Math.max(count, this.#rows.size);
    if (count && breakers.length - count === 1) count += 1;
    const shown = breakers.slice(0, count);
    const focused = breakers.slice(count).find(({ name }) => name === look.focused);
    if (focused) shown.push(focused);
    this.#arrange(shown);
    for (const breaker of shown) this.#rows.get(breaker.name)?.show(breaker, board);
    this.#showMore(isFolded ? [] : breakers.filter((breaker) => !this.#rows.has(breaker.name)), board);
    if (look.hasHead) this.#showHead(board, look.cause, isFolded);
  }

  /** Shows the rows as they are now. @param {Board} board */
  draw(board) {
    for (const breaker of this.#breakers) this.#rows.get(breaker.name)?.show(breaker, board);
  }

  /**
   * Keeps the rows in their order. A row would lose the focus by being moved, so the others are moved around it.
   * @param {Breaker[]} shown
   */
  #arrange(shown) {
    const names = new Set(shown.map(({ name }) => name));
    for (const [name, row] of this.#rows) {
      if (names.has(name)) continue;
      if (row.element.contains(document.activeElement)) find("#breakers").focus({ preventScroll: true });
      row.element.remove();
      this.#rows.delete(name);
    }
    let next = this.#head.nextElementSibling;
    for (const { name } of shown) {
      let row = this.#rows.get(name);
      if (!row) {
        row = new Row(this.#actions.showDetails, this.#actions.control);
        this.#rows.set(name, row);
      }
      if (row.element === next || row.element.contains(document.activeElement)) next = row.element.nextElementSibling;
      else this.element.insertBefore(row.element, next);
    }
    this.element.append(this.#more);
  }

  /**
   * @param {Breaker[]} hidden
   * @param {Board} board
   */
  #showMore(hidden, board) {
    this.#more.hidden = !hidden.length;
    setText(find("button", this.#more), `Show ${number(Math.min(hidden.length, this.#shown === null && hidden.length <= STEP ? hidden.length : STEP))} more`);
    const rejected = sumOf(hidden, "rejections", board);
    setText(find(".rest", this.#more), rejected ? ` of ${number(hidden.length)}, ${perSecond(rejected)} rejected/s between them` : ` of ${number(hidden.length)}`);
  }

  /**
   * @param {Board} board
   * @param {GroupFields | undefined} cause
   * @param {boolean} isFolded
   */
  #showHead(board, cause, isFolded) {
    const head = this.#head;
    const breakers = this.#breakers;
    const now = board.clock.now();
    setText(find(".count", head), number(breakers.length));
    setText(find(".fold .text", head), KINDS[this.key]?.title ?? capitalized(cause ? causeName(cause.trip) : "open"));
    find(".fold", head).setAttribute("aria-expanded", String(!isFolded));
    setText(find(".about", head), cause ? about(cause) : "");
    setText(find(".rejections", head), perSecond(sumOf(breakers, "rejections", board)));
    setText(find(".calls", head), perSecond(sumOf(breakers, "calls", board)));
    setText(find(".for", head), cause && cause.count ? shortDuration((now - Date.parse(cause.since)) / 1000) : "");
    const first = Math.min(...breakers.map(({ probeAt }) => probeAt ?? Infinity));
    setText(find(".next", head), cause && Number.isFinite(first) ? (first > now ? `first in ${shortDuration((first - now) / 1000)}` : "due") : "");
    if (this.key !== "closed") drawShare(this.#strip, breakers.map(({ states }) => states.until(now)));
  }
}

/**
 * @param {Breaker[]} breakers
 * @param {"calls" | "rejections"} kind
 * @param {Board} board
 */
export function sumOf(breakers, kind, board) {
  const until = board.completeUntil();
  return breakers.reduce((sum, { history }) => sum + (history.rate(kind, until) ?? 0), 0);
}

/** @param {GroupFields} cause */
function about({ trip, since, ended_at: endedAt, closed, count }) {
  if (!count && endedAt) return `all ${number(closed)} closed at ${timeOfDay(endedAt)}`;
  const { kind, observed } = trip;
  /** @type {Record<string, (value: number) => string>} */
  const texts = {
    consecutive_failures: (value) => `${plural(value, "failure")} in a row`,
    failure_count: (value) => plural(value, "failure"),
    failure_rate: (value) => `failure rate ${percent(value)}`,
    slow_call_rate: (value) => `slow calls ${percent(value)}`,
  };
  const evidence = kind && texts[kind] && observed !== null && observed !== undefined ? texts[kind](observed) : "";
  return [`since ${timeOfDay(since)}`, evidence, closed ? `${number(closed)} have closed` : ""].filter(Boolean).join("; ");
}
