/** The latest transitions, with their causes. */

import { causeText } from "./causes.js";
import { find, make, setText } from "./dom.js";
import { plural, timeOfDay } from "./formatting.js";
import { showState } from "./icons.js";

/** @typedef {import("./messages.js").TransitionEntry} TransitionEntry */

const MOST_SHOWN = 100;

/**
 * One transition as an item of a list.
 * @param {TransitionEntry} transition
 * @param {((name: string) => void) | null} showDetails Called by a click on the name; null for an item without a name.
 */
export function item(transition, showDetails) {
  const element = make("li", "transition");
  const time = make("time", "", timeOfDay(transition.at));
  time.setAttribute("datetime", transition.at);
  element.append(time);
  if (showDetails) {
    const name = make("button", "name", transition.breaker);
    name.setAttribute("type", "button");
    name.addEventListener("click", () => showDetails(transition.breaker));
    element.append(name);
  }
  const state = make("span", "state");
  showState(state, transition.new);
  element.append(state, make("span", "cause", causeText(transition.cause)));
  return element;
}

export class Timeline {
  #list = find("#timeline ol");
  #newest = -1;
  #run = "";

  /**
   * @param {import("./board.js").Board} board
   * @param {(name: string) => void} showDetails
   */
  show(board, showDetails) {
    const { transitions, about } = board;
    if (about.run !== this.#run) {
      this.#run = about.run;
      this.#newest = -1;
      this.#list.replaceChildren();
    }
    for (const transition of transitions) {
      if (transition.seq <= this.#newest) continue;
      this.#newest = transition.seq;
      this.#list.prepend(item(transition, showDetails));
    }
    while (this.#list.children.length > MOST_SHOWN) this.#removeLast();
    find("#timeline .empty").hidden = transitions.length > 0;
    setText(find("#timeline .count"), transitions.length ? plural(transitions.length, "transition") : "");
  }

  /** Removes the oldest item; if it has the focus, the list gets it. */
  #removeLast() {
    const last = this.#list.lastElementChild;
    if (last?.contains(document.activeElement)) find("#timeline .scroller").focus();
    last?.remove();
  }
}
