/** One breaker's row of the table. */

import { find, make, setText } from "./dom.js";
import { capitalized, perSecond, shortDuration } from "./formatting.js";
import { showState } from "./icons.js";
import { mode, nextStep, timeInState, waited, why } from "./sentences.js";
import { isInShadow } from "./states.js";
import { drawStates, makeStrip } from "./strip.js";

/** @typedef {import("./board.js").Board} Board */
/** @typedef {import("./board.js").Breaker} Breaker */

export class Row {
  element;
  #strip = makeStrip();
  #drawnUntil = "";
  /** @type {Breaker | undefined} */
  #breaker;

  /**
   * @param {(name: string) => void} showDetails
   * @param {(name: string) => void} control
   */
  constructor(showDetails, control) {
    const template = /** @type {HTMLTemplateElement} */ (find("#row"));
    this.element = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
    find(".name", this.element).addEventListener("click", () => this.#breaker && showDetails(this.#breaker.name));
    find(".act", this.element).addEventListener("click", () => this.#breaker && control(this.#breaker.name));
    find(".past", this.element).append(this.#strip);
  }

  /**
   * Shows a breaker as it is now.
   * @param {Breaker} breaker
   * @param {Board} board
   */
  show(breaker, board) {
    const { element } = this;
    const { entry } = breaker;
    const now = board.clock.now();
    this.#breaker = breaker;
    element.dataset.name = breaker.name;
    element.dataset.state = entry.state;
    element.toggleAttribute("data-shadow", isInShadow(entry));
    const name = find(".name", element);
    setText(name, breaker.name);
    name.title = breaker.name;
    showState(find(".state", element), entry.state);
    setText(find(".since .time", element), timeInState(breaker, now));
    setText(find(".since .mode", element), mode(breaker));
    const cause = capitalized(why(breaker));
    const reason = find(".why", element);
    setText(reason, cause);
    reason.title = cause;
    const until = board.completeUntil();
    for (const kind of /** @type {const} */ (["rejections", "calls"])) {
      setText(find(`.${kind}`, element), perSecond(breaker.history.rate(kind, until)));
    }
    setText(find(".for", element), entry.state === "closed" ? "" : shortDuration((now - breaker.since) / 1000));
    this.#showNext(breaker, now);
    const act = find(".act", element);
    act.hidden = !board.about.control;
    act.setAttribute("aria-label", `Control ${breaker.name}`);
    this.#showPast(breaker, now);
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
   * @param {number} now
   */
  #showPast(breaker, now) {
    const slots = breaker.states.until(now);
    const drawn = slots.join();
    if (drawn === this.#drawnUntil) return;
    this.#drawnUntil = drawn;
    drawStates(this.#strip, slots);
  }
}
