/** Which breakers are shown, and in which order. The address holds it, so that a reload and a link keep it. */

import { find, make } from "./dom.js";
import { number } from "./formatting.js";
import { icon } from "./icons.js";
import { why } from "./sentences.js";
import { isInShadow, rank, STATES, word } from "./states.js";

/** @typedef {import("./board.js").Breaker} Breaker */
/** @typedef {import("./board.js").Board} Board */

const byName = (/** @type {Breaker} */ one, /** @type {Breaker} */ other) => (one.name < other.name ? -1 : 1);

/** States that began so close to each other began at once: the page knows the times by the ages of its messages. */
const AT_ONCE_MS = 2000;

/**
 * Compares breakers that are not closed by what they reject, if that differs much, then by how long they have done so.
 * @param {Breaker} one
 * @param {Breaker} other
 * @param {Map<Breaker, number>} rates
 */
function byWeight(one, other, rates) {
  if (one.entry.state === "closed") return 0;
  const apart = one.since - other.since;
  return weight(rates.get(other)) - weight(rates.get(one)) || (Math.abs(apart) < AT_ONCE_MS ? 0 : apart);
}

/**
 * Rates within about 20 % have one weight, so that breakers do not change places all the time.
 *
 * @param {number | undefined} rate Not known: less than 0.
 */
function weight(rate) {
  return rate === undefined || rate <= 0 ? -1000 : Math.round(Math.log(rate) / Math.log(1.2));
}

export class View {
  #form = /** @type {HTMLFormElement} */ (find("#view"));
  #counts = find("#counts");
  /** @type {Set<string>} */
  #states = new Set();
  #changed;

  /** @param {() => void} changed Called when the user chooses something else. */
  constructor(changed) {
    this.#changed = changed;
    this.#read();
    addEventListener("hashchange", () => {
      this.#read();
      this.#changed();
    });
    this.#form.addEventListener("input", () => this.#change());
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#counts.append(...STATES.map((state) => this.#button(state)));
    find("#shown button").addEventListener("click", () => this.#showAll());
  }

  get #text() {
    return /** @type {HTMLInputElement} */ (this.#form.elements.namedItem("text"));
  }

  get #sort() {
    return /** @type {HTMLSelectElement} */ (this.#form.elements.namedItem("sort"));
  }

  /** Reads the choice from the address. */
  #read() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    this.#text.value = wanted.get("text") ?? "";
    this.#sort.value = wanted.get("sort") ?? "state";
    if (!this.#sort.value) this.#sort.value = "state";
    this.#states = new Set((wanted.get("states") ?? "").split(",").filter((state) => STATES.includes(/** @type {any} */ (state))));
  }

  /**
   * The breakers to show, in their order.
   * @param {Board} board
   */
  choose(board) {
    const text = this.#text.value.trim().toLowerCase();
    const chosen = [...board.breakers.values()].filter((breaker) => {
      if (this.#states.size && (isInShadow(breaker.entry) || !this.#states.has(breaker.entry.state))) return false;
      return !text || `${breaker.name}\n${why(breaker)}`.toLowerCase().includes(text);
    });
    this.#showCounts(board, chosen.length);
    return chosen.sort(this.#order(board));
  }

  /** How the breakers are shown. */
  get look() {
    return { isGrouped: this.#sort.value === "state", isFiltered: this.#states.size > 0 || this.#text.value.trim() !== "" };
  }

  /** @param {Board} board */
  #order(board) {
    const sort = this.#sort.value;
    if (sort === "name") return byName;
    const kind = sort === "failures" ? "failures" : "rejections";
    const until = board.completeUntil();
    const rates = new Map([...board.breakers.values()].map((breaker) => [breaker, breaker.history.rate(kind, until) ?? -1]));
    if (sort === "state") return (/** @type {Breaker} */ one, /** @type {Breaker} */ other) => rank(one.entry) - rank(other.entry) || byWeight(one, other, rates) || byName(one, other);
    return (/** @type {Breaker} */ one, /** @type {Breaker} */ other) => (rates.get(other) ?? -1) - (rates.get(one) ?? -1) || byName(one, other);
  }

  /**
   * @param {Board} board
   * @param {number} shown
   */
  #showCounts(board, shown) {
    const counts = board.counts();
    for (const button of this.#counts.querySelectorAll("button")) {
      const state = button.dataset.state ?? "";
      find(".number", button).textContent = number(counts.get(state) ?? 0);
      button.hidden = !counts.get(state) && !this.#states.has(state);
      button.setAttribute("aria-pressed", String(this.#states.has(state)));
    }
    const isFiltered = shown < board.breakers.size;
    find("#shown").hidden = !isFiltered;
    find("#shown span").textContent = `${number(shown)} of ${number(board.breakers.size)} breakers`;
    const empty = find("#empty");
    empty.hidden = shown > 0;
    if (board.isKnown) empty.textContent = isFiltered ? "No breaker matches." : "There are no breakers yet.";
  }

  /** @param {import("./states.js").State} state */
  #button(state) {
    const button = make("button", "count");
    button.setAttribute("type", "button");
    button.dataset.state = state;
    button.append(icon(state), make("span", "number", "0"), make("span", "word", word(state)));
    button.addEventListener("click", () => {
      if (!this.#states.delete(state)) this.#states.add(state);
      this.#change();
    });
    return button;
  }

  #showAll() {
    this.#text.value = "";
    this.#states.clear();
    this.#change();
    this.#text.focus();
  }

  #change() {
    const wanted = new URLSearchParams();
    if (this.#text.value) wanted.set("text", this.#text.value);
    if (this.#sort.value !== "state") wanted.set("sort", this.#sort.value);
    if (this.#states.size) wanted.set("states", [...this.#states].join(","));
    history.replaceState(null, "", wanted.size ? `#${wanted}` : location.pathname + location.search);
    this.#changed();
  }
}
