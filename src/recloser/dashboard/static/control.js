/** The dialog for operators. The token is kept in the memory of this page only. */

import { find, setText } from "./dom.js";
import { showState } from "./icons.js";

const SECONDS_PER_MINUTE = 60;
const UNAUTHORIZED = 401;

export class ControlDialog {
  #dialog = /** @type {HTMLDialogElement} */ (find("#control"));
  #form = /** @type {HTMLFormElement} */ (find("#control form"));
  #board;
  #announce;
  #name = "";
  /** How often the dialog has been opened. */
  #opened = 0;
  /** @type {number | undefined} */
  #generation;
  /** @type {string | null} The process that the page has shown. */
  #instance = null;

  /**
   * @param {import("./board.js").Board} board
   * @param {(text: string) => void} announce
   */
  constructor(board, announce) {
    this.#board = board;
    this.#announce = announce;
    find(".cancel", this.#dialog).addEventListener("click", () => this.#dialog.close());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#apply();
    });
    this.#form.addEventListener("change", () => this.#showExpiry());
  }

  /** @param {string} name */
  open(name) {
    const breaker = this.#board.breakers.get(name);
    if (!breaker) return;
    this.#name = name;
    this.#opened += 1;
    for (const field of ["action", "minutes", "reason"]) this.#restore(field);
    setText(find(".name", this.#dialog), name);
    setText(find(".error", this.#dialog), "");
    this.show();
    this.#showExpiry();
    this.#dialog.showModal();
  }

  /** Shows the state as it is now: an order refers to the state that is shown when it is sent. */
  show() {
    const breaker = this.#board.breakers.get(this.#name);
    if (!breaker) return;
    this.#generation = breaker.entry.generation;
    this.#instance = this.#board.overview?.instance ?? null;
    showState(find(".state", this.#dialog), breaker.entry.state);
  }

  /**
   * Forgets what was chosen for the previous breaker.
   * @param {string} field
   */
  #restore(field) {
    for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (this.#form.querySelectorAll(`[name=${field}]`))) {
      input.checked = input.defaultChecked;
      if (input.type !== "radio") input.value = input.defaultValue;
    }
  }

  #showExpiry() {
    const isHidden = new FormData(this.#form).get("action") === "reset";
    find(".expiry", this.#form).hidden = isHidden;
    setText(find(".what", this.#dialog), consequence(new FormData(this.#form).get("action"), this.#name));
    /** @type {HTMLInputElement} */ (find(".expiry input", this.#form)).disabled = isHidden;
  }

  async #apply() {
    const given = new FormData(this.#form);
    const minutes = given.get("action") === "reset" ? "" : String(given.get("minutes"));
    const order = {
      breaker: this.#name,
      action: given.get("action"),
      reason: given.get("reason"),
      author: given.get("author"),
      for_seconds: minutes ? SECONDS_PER_MINUTE * Number(minutes) : null,
      generation: this.#generation,
      instance: this.#instance,
    };
    const opened = this.#opened;
    const submit = /** @type {HTMLButtonElement} */ (find("[type=submit]", this.#form));
    submit.disabled = true;
    const problem = await send(order, String(given.get("token")));
    submit.disabled = false;
    const isOpen = opened === this.#opened && this.#dialog.open;
    if (!problem || !isOpen) this.#announce(`${order.breaker}: ${problem || "done"}`);
    if (!isOpen) return; // or it shows another breaker by now
    setText(find(".error", this.#dialog), problem);
    if (!problem) this.#dialog.close();
  }
}

/**
 * What an order does, in a sentence.
 * @param {FormDataEntryValue | null} action
 * @param {string} name
 */
function consequence(action, name) {
  if (action === "force_open") return `From now on every call to ${name} is rejected in this process.`;
  if (action === "disable") return `From now on every call to ${name} is let through: the protection is off.`;
  if (action === "reset") return `${name} closes at once, without a probe: calls reach the dependency again.`;
  return "Nothing is chosen yet, and nothing happens until you press the last button.";
}

/**
 * Sends an order; returns what went wrong, or an empty text.
 * @param {Record<string, any>} order
 * @param {string} token
 */
async function send(order, token) {
  try {
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${token}` };
    const answer = await fetch("control", { method: "POST", headers, body: JSON.stringify(order), cache: "no-store" });
    if (answer.ok) return "";
    if (answer.status === UNAUTHORIZED) return "This is not the control token of this server.";
    const problem = await answer.json().catch(() => ({}));
    return problem.detail ?? `The server answered ${answer.status}.`;
  } catch {
    return "The server could not be reached; it is not known whether anything has changed.";
  }
}
