/** An icon for each state of a breaker, so that colour alone never distinguishes them. */

import { make } from "./dom.js";
import { word } from "./states.js";

/** @type {Record<string, string>} On a grid of 16 units. */
const PATHS = {
  shadow: "M8 1.8a6.2 6.2 0 0 1 6.2 6.2M8 14.2A6.2 6.2 0 0 1 1.8 8",
  open: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8",
  forced_open: "M5 1.5h6L14.5 5v6L11 14.5H5L1.5 11V5zM5 8h6",
  half_open: "M8 1.8a6.2 6.2 0 1 0 0 12.4zM8 1.8a6.2 6.2 0 0 1 0 12.4",
  disabled: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8zM3.8 3.8l8.4 8.4",
  closed: "M8 2.6a5.4 5.4 0 1 0 0 10.8A5.4 5.4 0 0 0 8 2.6z",
};

/** @param {string} state */
export function icon(state) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("data-icon", state);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[state] ?? "");
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
