/** The table: breakers by cause. A few breakers stand without groups, in roomy rows. */

import { find } from "./dom.js";
import { Group, sumOf } from "./group.js";
import { isInShadow } from "./states.js";

/** @typedef {import("./board.js").Breaker} Breaker */

const FEW = 12;
const PREVIEW_OF_FIRST = 4;
const PREVIEW = 3;
const ALL = 100;
const LAST = ["manual", "shadow", "closed"];

export class List {
  #element = find("#list");
  #board;
  #actions;
  /** @type {Breaker[]} */
  #breakers = [];
  #isGrouped = false;
  #isFiltered = false;
  /** @type {Map<string, Group>} */
  #groups = new Map();

  /**
   * @param {import("./board.js").Board} board
   * @param {{showDetails: (name: string) => void, control: (name: string) => void}} actions
   */
  constructor(board, actions) {
    this.#board = board;
    this.#actions = { ...actions, changed: () => this.#arrange() };
    this.#element.addEventListener("keydown", (event) => this.#walk(event));
  }

  /**
   * @param {Breaker[]} breakers In the order in which they are shown.
   * @param {{isGrouped: boolean, isFiltered: boolean}} view
   */
  show(breakers, { isGrouped, isFiltered }) {
    const isFew = this.#board.breakers.size <= FEW;
    this.#element.classList.toggle("roomy", isFew);
    this.#element.hidden = !breakers.length;
    this.#isGrouped = isGrouped && !isFew;
    this.#isFiltered = isFiltered;
    this.#breakers = breakers;
    this.#arrange();
  }

  /** Draws the rows as they are now. */
  draw() {
    for (const group of this.#groups.values()) group.draw(this.#board);
  }

  #arrange() {
    const focused = document.activeElement?.closest("tr")?.dataset.name;
    const parts = this.#isGrouped ? this.#parts() : new Map([["", this.#breakers]]);
    for (const [key, group] of this.#groups) {
      if (parts.has(key)) continue;
      if (group.element.contains(document.activeElement)) find("#breakers").focus({ preventScroll: true });
      group.element.remove();
      this.#groups.delete(key);
    }
    let next = /** @type {Element | null} */ (find("thead", this.#element).nextElementSibling);
    const isAlone = parts.size === 1;
    for (const [place, [key, breakers]] of [...parts].entries()) {
      const group = this.#groups.get(key) ?? new Group(key, this.#actions);
      this.#groups.set(key, group);
      if (group.element === next || group.element.contains(document.activeElement)) next = group.element.nextElementSibling;
      else this.#element.insertBefore(group.element, next);
      const preview = !this.#isGrouped || this.#isFiltered || isAlone ? ALL : place === 0 ? PREVIEW_OF_FIRST : PREVIEW;
      const folded = (key === "closed" || key === "shadow") && !isAlone && !this.#isFiltered;
      group.show(breakers, this.#board, { preview, folded, hasHead: this.#isGrouped, cause: this.#causeOf(key), focused });
    }
    if (focused !== undefined && !document.activeElement?.closest("tr")) this.#nameOf(focused)?.focus({ preventScroll: true });
  }

  /** The breakers by group: causes by what they reject, then what was set by hand, shadow mode, and the closed ones. */
  #parts() {
    /** @type {Map<string, Breaker[]>} */
    const parts = new Map();
    for (const breaker of this.#breakers) {
      const key = keyOf(breaker);
      const part = parts.get(key);
      if (part) part.push(breaker);
      else parts.set(key, [breaker]);
    }
    if (!this.#isFiltered) for (const { id, count } of this.#board.overview?.groups ?? []) if (!count && !parts.has(id)) parts.set(id, []);
    const place = (/** @type {string} */ key) => LAST.indexOf(key);
    const rejected = new Map([...parts].map(([key, breakers]) => [key, sumOf(breakers, "rejections", this.#board)]));
    const since = (/** @type {string} */ key) => this.#causeOf(key)?.since ?? "";
    return new Map([...parts].sort(([one, some], [other, others]) => place(one) - place(other) || (rejected.get(other) ?? 0) - (rejected.get(one) ?? 0) || others.length - some.length || (since(one) < since(other) ? -1 : 1)));
  }

  /**
   * The button of a breaker that has moved to another group.
   * @param {string} name
   */
  #nameOf(name) {
    const rows = /** @type {HTMLElement[]} */ ([...this.#element.querySelectorAll("tr.card")]);
    return /** @type {HTMLElement | null | undefined} */ (rows.find((row) => row.dataset.name === name)?.querySelector(".name"));
  }

  /** @param {string} key */
  #causeOf(key) {
    return this.#board.overview?.groups.find(({ id }) => id === key);
  }

  /**
   * Arrows, `j` and `k` walk from row to row; `x` folds or opens a group.
   * @param {KeyboardEvent} event
   */
  #walk(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    const active = /** @type {HTMLElement} */ (event.target);
    if (step) {
      const stops = /** @type {HTMLElement[]} */ ([...this.#element.querySelectorAll("button.name, button.fold, button.show-more")].filter((one) => one.getClientRects().length));
      stops[stops.indexOf(active.closest("tr")?.querySelector("button") ?? active) + step]?.focus();
      event.preventDefault();
    } else if (event.key === "x") {
      const fold = active.closest("tbody")?.querySelector(".fold");
      if (fold instanceof HTMLElement) {
        fold.focus();
        fold.click();
      }
    }
  }
}

/** @param {Breaker} breaker */
function keyOf({ entry }) {
  if (entry.state === "closed") return "closed";
  return isInShadow(entry) ? "shadow" : entry.group ?? "open";
}
