/** The cards of thousands of breakers, of which only those near the window are drawn. */

import { Card } from "./card.js";
import { find } from "./dom.js";

/** @typedef {import("./store.js").Breaker} Breaker */

const LEAST_WIDTH = 300;
const GAP = 12;
const ROW_HEIGHT = 232;
const ROWS_BEYOND = 2;

export class List {
  #element = find("#list");
  #store;
  #actions;
  /** @type {Breaker[]} */
  #breakers = [];
  /** @type {Map<string, Card>} */
  #cards = new Map();

  /**
   * @param {import("./store.js").Store} store
   * @param {{showDetails: (name: string) => void, control: (name: string) => void}} actions
   */
  constructor(store, actions) {
    this.#store = store;
    this.#actions = actions;
    addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.#element);
  }

  /** @param {Breaker[]} breakers In the order in which they are shown. */
  show(breakers) {
    this.#breakers = breakers;
    this.draw();
  }

  /** Draws the cards that are near the window, and takes the others away. */
  draw() {
    const width = this.#element.clientWidth;
    const columns = Math.max(1, Math.floor((width + GAP) / (LEAST_WIDTH + GAP)));
    const rows = Math.ceil(this.#breakers.length / columns);
    this.#element.style.blockSize = `${Math.max(0, rows * (ROW_HEIGHT + GAP) - GAP)}px`;
    const top = -this.#element.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / (ROW_HEIGHT + GAP)) - ROWS_BEYOND);
    const last = Math.ceil((top + innerHeight) / (ROW_HEIGHT + GAP)) + ROWS_BEYOND;
    const near = this.#breakers.slice(first * columns, Math.max(0, last) * columns);
    this.#takeAwayAllBut(near);
    const cardWidth = (width - (columns - 1) * GAP) / columns;
    near.forEach((breaker, index) => this.#place(breaker, first * columns + index, columns, cardWidth));
  }

  /** Draws all cards anew, in the colours of now. */
  recolour() {
    for (const card of this.#cards.values()) card.recolour();
    this.draw();
  }

  /** @param {Breaker[]} near */
  #takeAwayAllBut(near) {
    const names = new Set(near.map((breaker) => breaker.name));
    for (const [name, card] of this.#cards) {
      const isFocused = card.element.contains(document.activeElement) && this.#store.breakers.has(name);
      if (names.has(name) || isFocused) continue;
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
    if (!element.isConnected) this.#insert(element, place);
    card.show(breaker, this.#store);
  }

  /**
   * Keeps the order of the document that of the list, which is the order of the Tab key.
   * @param {HTMLElement} element
   * @param {number} place
   */
  #insert(element, place) {
    const after = [...this.#element.children].find((other) => Number(other.getAttribute("aria-posinset")) > place + 1);
    this.#element.insertBefore(element, after ?? null);
  }
}
