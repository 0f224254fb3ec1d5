/**
 * The states of the last thirty minutes, as a strip: 120 slots of 15 s, on one axis for all.
 *
 * The server sends run lengths once, in the snapshot; the page moves the slots on by itself. A state has a height or a
 * pattern of its own, so that colour alone never tells it.
 */

export const SLOTS = 120;
export const SLOT_MS = 15000;
const HEIGHT = 16;
const SVG = "http://www.w3.org/2000/svg";

/** @type {Record<string, number>} By severity; a slot shows the worst state in it. */
const SEVERITY = { closed: 1, disabled: 2, half_open: 3, open: 4, forced_open: 5 };
/** @type {Record<string, number>} */
const HEIGHTS = { closed: 1, disabled: HEIGHT, half_open: 9.6, open: HEIGHT, forced_open: HEIGHT };

/** @typedef {(string | null)[]} Slots The oldest first; null where nothing is known. */

/** @param {number} at In ms. */
export function slotOf(at) {
  return Math.floor(at / SLOT_MS);
}

export class States {
  /** @type {Slots} */
  #slots;
  #last;
  #state;

  /**
   * @param {string} state The state of now.
   * @param {number} since When it began, in ms.
   * @param {number} now
   */
  constructor(state, since, now) {
    this.#state = state;
    this.#last = slotOf(now);
    const before = state === "closed" ? "closed" : null;
    const begun = SLOTS - 1 - (this.#last - slotOf(since));
    this.#slots = Array.from({ length: SLOTS }, (_, place) => (place >= begun ? state : before));
  }

  /**
   * Takes over what the server has kept.
   * @param {[string | null, number][]} runs
   * @param {number} slot The number of the latest one.
   */
  take(runs, slot) {
    this.#slots = runs.flatMap(([state, count]) => Array(count).fill(state)).slice(-SLOTS);
    this.#last = slot;
  }

  /**
   * Notes the state at a time; the slots since the latest one get the state before.
   * @param {string} state
   * @param {number} at In ms.
   */
  note(state, at) {
    this.#moveTo(slotOf(at));
    this.#state = state;
    const latest = this.#slots[SLOTS - 1];
    if (latest === null || (SEVERITY[state] ?? 0) > (SEVERITY[latest] ?? 0)) this.#slots[SLOTS - 1] = state;
  }

  /**
   * @param {number} now In ms.
   * @returns {Slots}
   */
  until(now) {
    this.#moveTo(slotOf(now));
    return this.#slots;
  }

  /** @param {number} slot */
  #moveTo(slot) {
    const steps = Math.min(SLOTS, slot - this.#last);
    if (steps <= 0) return;
    this.#slots = [...this.#slots.slice(steps), ...Array(steps).fill(this.#state)];
    this.#last = slot;
  }
}

/** Makes the drawing of a strip; it is decoration for those who see it, the row says the rest. */
export function makeStrip() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "strip");
  svg.setAttribute("viewBox", `0 0 ${SLOTS} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  return svg;
}

/**
 * Draws the states of a breaker, one path per state.
 * @param {Element} svg
 * @param {Slots} slots
 */
export function drawStates(svg, slots) {
  /** @type {Map<string, string>} */
  const paths = new Map();
  for (let start = 0; start < slots.length; ) {
    const state = slots[start];
    let end = start + 1;
    while (end < slots.length && slots[end] === state) end += 1;
    if (state) paths.set(state, (paths.get(state) ?? "") + block(start, end, HEIGHTS[state] ?? HEIGHT));
    start = end;
  }
  put(svg, paths);
}

/**
 * Draws in which share of breakers something is open, in each slot.
 * @param {Element} svg
 * @param {Slots[]} all
 */
export function drawShare(svg, all) {
  let path = "";
  let line = "";
  for (let place = 0; place < SLOTS; place++) {
    const open = all.filter((slots) => (SEVERITY[slots[place] ?? ""] ?? 0) > SEVERITY.disabled).length;
    if (open) path += block(place, place + 1, 3 + (13 * open) / all.length);
    else if (all.some((slots) => slots[place])) line += block(place, place + 1, HEIGHTS.closed);
  }
  put(svg, new Map([["closed", line], ["open", path]]));
}

/**
 * Draws how many breakers are open, on a scale of its own; returns the greatest number.
 * @param {Element} svg
 * @param {Slots[]} all
 */
export function drawCount(svg, all) {
  const counts = Array.from({ length: SLOTS }, (_, place) => all.filter((slots) => (SEVERITY[slots[place] ?? ""] ?? 0) > SEVERITY.disabled).length);
  const most = Math.max(1, ...counts);
  put(svg, new Map([["closed", block(0, SLOTS, 0.25)], ["open", counts.map((count, place) => (count ? block(place, place + 1, (HEIGHT * count) / most) : "")).join("")]]));
}

/**
 * @param {number} start
 * @param {number} end
 * @param {number} height
 */
function block(start, end, height) {
  return `M${start} ${HEIGHT}V${(HEIGHT - height).toFixed(1)}H${end}V${HEIGHT}z`;
}

/**
 * @param {Element} svg
 * @param {Map<string, string>} paths By state.
 */
function put(svg, paths) {
  for (const old of [...svg.children]) if (!paths.get(old.getAttribute("data-state") ?? "")) old.remove();
  for (const [state, shape] of paths) {
    if (!shape) continue;
    let path = svg.querySelector(`[data-state="${state}"]`);
    if (!path) {
      path = document.createElementNS(SVG, "path");
      path.setAttribute("data-state", state);
      if (state === "forced_open") path.setAttribute("fill", "url(#stripes)");
      svg.append(path);
    }
    if (path.getAttribute("d") !== shape) path.setAttribute("d", shape);
  }
}
