/** The page: what comes from the server goes into the board, and what is in the board is shown. */

import { Connection } from "./connection.js";
import { Control } from "./control.js";
import { Details } from "./details.js";
import { find, setText } from "./dom.js";
import { List } from "./list.js";
import { Board } from "./board.js";
import { Timeline } from "./timeline.js";
import { View } from "./view.js";
import { word } from "./states.js";
import { number, plural, timeOfDay } from "./formatting.js";

const TICK_MS = 250;
const MOST_PROBES = 3;

const board = new Board();
const announce = (/** @type {string} */ text) => setText(find("#announcer"), text);
const details = new Details(board);
const control = new Control(board, announce);
const showDetails = (/** @type {string} */ name) => details.open(name);
const list = new List(board, { showDetails, control: (name) => control.open(name) });
const timeline = new Timeline();
const view = new View(() => show());

function show() {
  list.show(view.choose(board));
  details.show();
  control.show();
  timeline.show(board, showDetails);
  showServer();
}

function showServer() {
  const dropped = find("#dropped");
  const missed = [[board.dropped, "update"], [board.untold, "transition"]].filter(([count]) => count);
  dropped.hidden = missed.length === 0;
  setText(dropped, `${missed.map(([count, one]) => plural(Number(count), String(one))).join(" and ")} missed`);
  const fleet = find("#fleet");
  fleet.hidden = board.fleet === null;
  if (board.fleet) setText(fleet, told(board.fleet));
  fleet.title = fleet.textContent ?? "";
  const open = [...board.breakers.values()].filter(({ entry }) => entry.state !== "closed").length;
  document.title = open ? `(${open}) Circuit breakers` : "Circuit breakers";
}

/**
 * What is known of the fleet.
 * @param {Record<string, any>} fleet
 */
function told(fleet) {
  const parts = [fleet.connected === false ? `fleet unreachable: ${fleet.problem ?? "each process decides alone"}` : "fleet reachable"];
  const probes = Object.entries(fleet.probes ?? {}).map(([name, worker]) => `${worker} tries ${name}`);
  const more = probes.length - MOST_PROBES;
  return [...parts, ...probes.slice(0, MOST_PROBES), ...(more > 0 ? [`${number(more)} more probes`] : [])].join("; ");
}

find(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address is taken: it says what is shown
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
    if (last) announce(`${last.breaker} is ${word(last.new)}: ${last.cause}`);
  },
  state(state, at) {
    const connection = find("#connection");
    connection.dataset.state = state;
    setText(find(".text", connection), state === "live" ? "live" : `reconnecting; as of ${timeOfDay(at)}`);
  },
}).open();

setInterval(() => {
  if (document.hidden) return;
  list.draw();
  details.show();
}, TICK_MS);

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  details.recolour();
  list.recolour();
});
