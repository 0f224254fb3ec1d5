/** The page: messages of the server go onto the board, and the page shows what is on the board. */

import { Board } from "./board.js";
import { causeText } from "./causes.js";
import { Connection } from "./connection.js";
import { ControlDialog } from "./control.js";
import { Details } from "./details.js";
import { find, setText } from "./dom.js";
import { timeOfDay } from "./formatting.js";
import { Head } from "./head.js";
import { List } from "./list.js";
import { fleetStatus, missed } from "./sentences.js";
import { word } from "./states.js";
import { Timeline } from "./timeline.js";
import { View } from "./view.js";

const TICK_MS = 250;
const REORDER_MS = 1000;

const board = new Board();
const announce = (/** @type {string} */ text) => setText(find("#announcer"), text);
const control = new ControlDialog(board, announce);
const details = new Details(board, (name) => control.open(name));
const showDetails = (/** @type {string} */ name) => details.open(name);
const list = new List(board, { showDetails, control: (name) => control.open(name) });
const timeline = new Timeline();
const head = new Head(board);
const view = new View(() => show());

function show() {
  list.show(view.choose(board), view.look);
  head.show();
  details.show();
  control.show();
  timeline.show(board, showDetails);
  showServer();
}

function showServer() {
  showIfAny("#missed", missed(board.missedUpdates, board.missedTransitions));
  showIfAny("#fleet", fleetStatus(board.fleet));
}

/**
 * Shows a text, or hides its element if there is none.
 * @param {string} selector
 * @param {string} text
 */
function showIfAny(selector, text) {
  const element = find(selector);
  element.hidden = !text;
  setText(element, text);
  element.title = text;
}

find(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address already says what is shown
  find("#breakers").focus();
});

new Connection("events", {
  snapshot(data) {
    board.replace(data);
    show();
  },
  update(data) {
    const transitions = board.update(data);
    show();
    const last = transitions.at(-1);
    if (last) announce(`${last.breaker} is ${word(last.new)}: ${causeText(last.cause)}`);
  },
  state(state, at) {
    const connection = find("#connection");
    connection.dataset.state = state;
    head.setConnection(state, at);
    setText(find(".text", connection), state === "live" ? "live" : `reconnecting; as of ${timeOfDay(at)}`);
  },
}).open();

setInterval(() => {
  if (document.hidden) return;
  list.draw();
  head.tick();
  details.show();
}, TICK_MS);

setInterval(() => {
  if (document.hidden) return;
  head.show();
  if (!find("#list").matches(":hover, :focus-within")) list.show(view.choose(board), view.look); // rates change although the server sends nothing
}, REORDER_MS);

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  details.recolour();
});
