/** Everything about one breaker. */

import { Chart } from "./chart.js";
import { find, make, setText } from "./dom.js";
import { capitalized, number, percent } from "./formatting.js";
import { showState } from "./icons.js";
import { mode, nextStep, outage, timeInState, why } from "./sentences.js";
import { word } from "./states.js";
import { item } from "./timeline.js";

/** @typedef {import("./board.js").Board} Board */
/** @typedef {import("./messages.js").BreakerEntry} BreakerEntry */

const CHART_HEIGHT = 180;
const MOST_TRANSITIONS = 20;

const TOTALS = /** @type {const} */ ([
  ["success_total", "successes"],
  ["failure_total", "failures"],
  ["rejected_total", "rejected"],
  ["ignored_total", "ignored"],
  ["cancelled_total", "cancelled"],
  ["probe_total", "probes"],
]);

export class Details {
  #dialog = /** @type {HTMLDialogElement} */ (find("#details"));
  #chart = new Chart(find("#details .chart"), CHART_HEIGHT, true);
  #board;
  /** @type {string | null} */
  #name = null;
  #shownFigures = "";
  #shownTransitions = "";

  /**
   * @param {Board} board
   * @param {(name: string) => void} control
   */
  constructor(board, control) {
    this.#board = board;
    find(".act", this.#dialog).addEventListener("click", () => {
      const name = this.#name;
      this.#dialog.close();
      if (name !== null) control(name);
    });
    find(".close", this.#dialog).addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => {
      this.#name = null;
      this.#chart.clear();
    });
  }

  /** @param {string} name */
  open(name) {
    this.#name = name;
    this.#shownFigures = this.#shownTransitions = "";
    this.#chart.clear();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.show();
  }

  /** Draws again, in the current colours. */
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
    find(".act", dialog).hidden = !breaker || !this.#board.about.control;
    if (!breaker) {
      setText(find(".why", dialog), "This breaker no longer exists.");
      setText(find(".next", dialog), "");
      return;
    }
    const now = this.#board.clock.now();
    const { entry } = breaker;
    showState(find(".state", dialog), entry.state);
    setText(find(".why", dialog), capitalized(why(breaker)));
    const next = [`${word(entry.state)} ${timeInState(breaker, now)}`, nextStep(breaker, now), mode(breaker), outage(breaker, now)];
    setText(find(".next", dialog), next.filter(Boolean).map(capitalized).join(". "));
    const width = this.#board.slotMs();
    const end = Math.floor(this.#board.completeUntil() / width) * width;
    this.#chart.draw(breaker.history.until(end), end, width);
    this.#showFigures(entry);
    this.#showTransitions();
  }

  /** @param {BreakerEntry} entry */
  #showFigures(entry) {
    const figures = TOTALS.map(([key, name]) => [name, number(entry[key])]);
    if (entry.failure_rate !== null) figures.push(["failure rate", percent(entry.failure_rate)]);
    const shown = JSON.stringify(figures);
    if (shown === this.#shownFigures) return;
    this.#shownFigures = shown;
    find(".figures", this.#dialog).replaceChildren(
      ...figures.map(([name, value]) => {
        const group = make("div");
        group.append(make("dt", "", name), make("dd", "", value));
        return group;
      }),
    );
  }

  #showTransitions() {
    const own = this.#board.transitions.filter(({ breaker }) => breaker === this.#name).slice(-MOST_TRANSITIONS).reverse();
    const shown = `${this.#name} ${own.map(({ seq }) => seq)}`;
    if (shown === this.#shownTransitions) return;
    this.#shownTransitions = shown;
    const items = own.length ? own.map((transition) => item(transition, null)) : [make("li", "empty", "None since this page was opened.")];
    find(".transitions", this.#dialog).replaceChildren(...items);
  }
}
