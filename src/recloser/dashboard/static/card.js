/** One breaker's card. */

import { Chart } from "./chart.js";
import { find, setText } from "./dom.js";
import { capitalized, rate } from "./formatting.js";
import { latestRate } from "./history.js";
import { showState } from "./icons.js";
import { mode, nextStep, timeInState, waited, why } from "./sentences.js";
import { isInShadow } from "./states.js";

/** @typedef {import("./board.js").Board} Board */
/** @typedef {import("./board.js").Breaker} Breaker */

const SPARK_HEIGHT = 34;
const KINDS = /** @type {const} */ (["calls", "failures", "rejections"]);
const UNKNOWN = "–";

export class Card {
  element;
  #chart;
  /** @type {Breaker | undefined} */
  #breaker;
  #drawnUntil = 0;

  /**
   * @param {(name: string) => void} showDetails
   * @param {(name: string) => void} control
   */
  constructor(showDetails, control) {
    const template = /** @type {HTMLTemplateElement} */ (find("#card"));
    this.element = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
    find(".name", this.element).addEventListener("click", () => this.#breaker && showDetails(this.#breaker.name));
    find(".act", this.element).addEventListener("click", () => this.#breaker && control(this.#breaker.name));
    this.#chart = new Chart(find(".spark", this.element), SPARK_HEIGHT, false);
  }

  /**
   * Shows a breaker as it is now.
   * @param {Breaker} breaker
   * @param {Board} board
   */
  show(breaker, board) {
    const { element } = this;
    const now = board.clock.now();
    if (breaker !== this.#breaker) this.#drawnUntil = 0;
    this.#breaker = breaker;
    element.dataset.state = breaker.entry.state;
    element.toggleAttribute("data-shadow", isInShadow(breaker.entry));
    const name = find(".name", element);
    setText(name, breaker.name);
    name.title = breaker.name;
    showState(find(".state", element), breaker.entry.state);
    setText(find(".since .time", element), timeInState(breaker, now));
    setText(find(".since .mode", element), mode(breaker));
    const cause = capitalized(why(breaker));
    const reason = find(".why", element);
    setText(reason, cause);
    reason.title = cause;
    this.#showNext(breaker, now);
    const act = find(".act", element);
    act.hidden = !board.about.control;
    act.setAttribute("aria-label", `Control ${breaker.name}`);
    this.#showTraffic(breaker, board);
  }

  /** Draws again, in the current colours. */
  recolour() {
    this.#chart.clear();
    this.#drawnUntil = 0;
  }

  /**
   * @param {Breaker} breaker
   * @param {number} now
   */
  #showNext(breaker, now) {
    setText(find(".next .text", this.element), capitalized(nextStep(breaker, now)));
    const share = waited(breaker, now);
    const bar = find(".next .bar", this.element);
    bar.hidden = share === null;
    if (share !== null) find("span", bar).style.inlineSize = `${(100 * share).toFixed(1)}%`;
  }

  /**
   * @param {Breaker} breaker
   * @param {Board} board
   */
  #showTraffic(breaker, board) {
    const width = board.slotMs();
    const end = Math.floor(board.completeUntil() / width) * width;
    if (end === this.#drawnUntil) return;
    this.#drawnUntil = end;
    const series = breaker.history.until(end);
    for (const kind of KINDS) {
      const value = latestRate(series[kind]);
      setText(find(`.rates .${kind} dd`, this.element), value === null ? UNKNOWN : rate(value));
    }
    this.#chart.draw(series, end, width);
  }
}
