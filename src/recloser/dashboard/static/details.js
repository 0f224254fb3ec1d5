/** Everything about one breaker. */

import { Chart } from "./chart.js";
import { find, make, setText } from "./dom.js";
import { next, since, why } from "./sentences.js";
import { showState } from "./states.js";
import { item } from "./timeline.js";
import { number, percent } from "./formatting.js";

const CHART_HEIGHT = 180;
const MOST_TRANSITIONS = 20;

/** @type {[string, string][]} */
const TOTALS = [
  ["success_total", "successes"],
  ["failure_total", "failures"],
  ["rejected_total", "rejected"],
  ["ignored_total", "ignored"],
  ["cancelled_total", "cancelled"],
  ["probe_total", "probes"],
];

export class Details {
  #dialog = /** @type {HTMLDialogElement} */ (find("#details"));
  #chart = new Chart(find("#details .chart"), CHART_HEIGHT, true);
  #board;
  /** @type {string | null} */
  #name = null;
  #told = "";

  /** @param {import("./board.js").Board} board */
  constructor(board) {
    this.#board = board;
    find(".close", this.#dialog).addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => {
      this.#name = null;
      this.#chart.clear();
    });
  }

  /** @param {string} name */
  open(name) {
    this.#name = name;
    this.#told = "";
    this.#chart.clear();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.show();
  }

  /** Draws anew, in the colours of now. */
  recolour() {
    this.#chart.clear();
  }

  /** Shows the breaker as it is now, if the dialog is open. */
  show() {
    if (this.#name === null) return;
    const dialog = this.#dialog;
    const breaker = this.#board.breakers.get(this.#name);
    setText(find(".name", dialog), this.#name);
    find(".state", dialog).hidden = !breaker;
    if (!breaker) {
      setText(find(".why", dialog), "There is no such breaker any more.");
      setText(find(".next", dialog), "");
      return;
    }
    const now = this.#board.clock.now();
    const { entry } = breaker;
    showState(find(".state", dialog), entry.state);
    setText(find(".why", dialog), why(breaker));
    setText(find(".next", dialog), [`${entry.state.replaceAll("_", " ")} ${since(breaker, now)}`, next(breaker, now).text].filter(Boolean).join(". "));
    const width = this.#board.slotMs();
    const end = Math.floor(this.#board.completeUntil() / width) * width;
    this.#chart.draw(breaker.history.until(end), end, width);
    this.#showFigures(entry);
    this.#showTransitions();
  }

  /** @param {Record<string, any>} entry */
  #showFigures(entry) {
    const figures = TOTALS.filter(([key]) => key in entry).map(([key, words]) => [words, number(entry[key])]);
    if (entry.failure_rate !== undefined && entry.failure_rate !== null) figures.push(["failure rate", percent(entry.failure_rate)]);
    const told = JSON.stringify(figures);
    const list = find(".figures", this.#dialog);
    if (told === list.dataset.told) return;
    list.dataset.told = told;
    list.replaceChildren(
      ...figures.map(([words, value]) => {
        const group = make("div");
        group.append(make("dt", "", words), make("dd", "", value));
        return group;
      }),
    );
  }

  #showTransitions() {
    const own = this.#board.transitions.filter(({ breaker }) => breaker === this.#name).slice(-MOST_TRANSITIONS).reverse();
    const told = `${this.#name} ${own.map(({ seq }) => seq)}`;
    if (told === this.#told) return;
    this.#told = told;
    const items = own.length ? own.map((transition) => item(transition, null)) : [make("li", "empty", "None since this page was opened.")];
    find(".transitions", this.#dialog).replaceChildren(...items);
  }
}
