/** An icon for each state of a breaker, so that colour alone never distinguishes them. */

import { make } from "./dom.js";
import { word } from "./states.js";

/** @type {Record<import("./states.js").State, string>} On a grid of 16 units. */
const PATHS = {
  open: "M4.2 4.2 11.8 11.8M11.8 4.2 4.2 11.8",
  forced_open: "M5 1.5h6L14.5 5v6L11 14.5H5L1.5 11V5zM5 8h6",
  half_open: "M8 1.8a6.2 6.2 0 1 0 0 12.4zM8 1.8a6.2 6.2 0 0 1 0 12.4",
  disabled: "M8 1.8v5.4M4.6 3.6a5.6 5.6 0 1 0 6.8 0",
  closed: "M2.8 8.6 6.4 12 13.2 4.4",
};

/** @param {string} state */
export function icon(state) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[/** @type {import("./states.js").State} */ (state)] ?? "");
  svg.append(path);
  return svg;
}

/**
 * Shows a state in an element: colour, icon, word.
 * @param {HTMLElement} element
 * @param {string} state
 */
export function showState(element, state) {
  if (element.dataset.state === state) return;
  element.dataset.state = state;
  element.replaceChildren(icon(state), make("span", "word", word(state)));
}
