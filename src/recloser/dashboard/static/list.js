/** The cards of thousands of breakers, of which only those near the window are drawn. */

import { Card } from "./card.js";
import { find } from "./dom.js";

/** @typedef {import("./board.js").Breaker} Breaker */

const LEAST_WIDTH = 300;
const GAP = 12;
const ROW_HEIGHT = 232;
const ROWS_BEYOND = 2;

export class List {
  #element = find("#list");
  #board;
  #actions;
  /** @type {Breaker[]} */
  #breakers = [];
  /** @type {Map<string, Card>} */
  #cards = new Map();

  /**
   * @param {import("./board.js").Board} board
   * @param {{showDetails: (name: string) => void, control: (name: string) => void}} actions
   */
  constructor(board, actions) {
    this.#board = board;
    this.#actions = actions;
    addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.#element);
  }

  /** @param {Breaker[]} breakers In the order in which they are shown. */
  show(breakers) {
    this.#breakers = breakers;
    this.draw();
  }

  /** Draws the cards that are near the window, and removes the others. */
  draw() {
    const width = this.#element.clientWidth;
    const columns = Math.max(1, Math.floor((width + GAP) / (LEAST_WIDTH + GAP)));
    const rows = Math.ceil(this.#breakers.length / columns);
    this.#element.style.blockSize = `${Math.max(0, rows * (ROW_HEIGHT + GAP) - GAP)}px`;
    const top = -this.#element.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / (ROW_HEIGHT + GAP)) - ROWS_BEYOND);
    const last = Math.ceil((top + innerHeight) / (ROW_HEIGHT + GAP)) + ROWS_BEYOND;
    const near = this.#placesBetween(first * columns, Math.max(0, last) * columns);
    this.#removeAllBut(near);
    const cardWidth = (width - (columns - 1) * GAP) / columns;
    for (const place of near) this.#place(this.#breakers[place], place, columns, cardWidth);
    this.#arrange();
  }

  /** Draws all cards again, in the current colours. */
  recolour() {
    for (const card of this.#cards.values()) card.recolour();
    this.draw();
  }

  /**
   * The places between two places of the list, and the place that has the focus, wherever it is.
   * @param {number} first
   * @param {number} end
   */
  #placesBetween(first, end) {
    const stop = Math.min(end, this.#breakers.length);
    const places = Array.from({ length: Math.max(0, stop - first) }, (_, index) => first + index);
    const focused = [...this.#cards].find(([, card]) => card.element.contains(document.activeElement))?.[0];
    const place = focused === undefined ? -1 : this.#breakers.findIndex(({ name }) => name === focused);
    return place < 0 || (place >= first && place < stop) ? places : [...places, place];
  }

  /** @param {number[]} places */
  #removeAllBut(places) {
    const names = new Set(places.map((place) => this.#breakers[place].name));
    for (const [name, card] of this.#cards) {
      if (names.has(name)) continue;
      if (card.element.contains(document.activeElement)) find("#breakers").focus({ preventScroll: true });
      card.recolour();
      card.element.remove();
      this.#cards.delete(name);
    }
  }

  /**
   * @param {Breaker} breaker
   * @param {number} place
   * @param {number} columns
   * @param {number} width
   */
  #place(breaker, place, columns, width) {
    let card = this.#cards.get(breaker.name);
    if (!card) {
      card = new Card(this.#actions.showDetails, this.#actions.control);
      this.#cards.set(breaker.name, card);
    }
    const { element } = card;
    element.style.inlineSize = `${width}px`;
    element.style.blockSize = `${ROW_HEIGHT}px`;
    const x = (place % columns) * (width + GAP);
    const y = Math.floor(place / columns) * (ROW_HEIGHT + GAP);
    element.style.transform = `translate(${x}px, ${y}px)`;
    element.setAttribute("aria-posinset", String(place + 1));
    element.setAttribute("aria-setsize", String(this.#breakers.length));
    if (!element.isConnected) this.#element.append(element);
    card.show(breaker, this.#board);
  }

  /**
   * Keeps the elements in the order of the list, which is then the order of the Tab key. An element would lose the focus
   * by being moved, so the others are moved around it.
   */
  #arrange() {
    const place = (/** @type {Element} */ element) => Number(element.getAttribute("aria-posinset"));
    const wanted = [...this.#element.children].sort((one, other) => place(one) - place(other));
    let next = this.#element.firstElementChild;
    for (const element of wanted) {
      if (element === next || element.contains(document.activeElement)) next = element.nextElementSibling;
      else this.#element.insertBefore(element, next);
    }
  }
}
