/**
 * How much a breaker's totals have grown, in slots of equal length.
 *
 * The growth between two readings is spread over the slots in between. Slots from before the first reading are unknown,
 * not zero.
 */

export const SLOTS = 90;
const RATE_SLOTS = 10;

/** @typedef {{calls: number, failures: number, rejections: number}} Traffic */
/** @typedef {{calls: (number | null)[], failures: (number | null)[], rejections: (number | null)[]}} Series */

const KINDS = /** @type {const} */ (["calls", "failures", "rejections"]);

export class History {
  #width;
  #slot = -1;
  #knownFrom;
  #rings = { calls: new Float64Array(SLOTS), failures: new Float64Array(SLOTS), rejections: new Float64Array(SLOTS) };

  /**
   * @param {number} start When the first reading was, in ms.
   * @param {number} width Of a slot, in ms.
   */
  constructor(start, width) {
    this.#width = width;
    this.#knownFrom = Math.floor(start / width) + 1;
  }

  /**
   * Adds what happened in a span of time.
   * @param {number} end Of the span, in ms.
   * @param {number} span Its length, in ms.
   * @param {Traffic} traffic
   */
  add(end, span, traffic) {
    const begin = end - span;
    this.#advance(Math.floor(end / this.#width));
    const oldest = Math.max(this.#slot - SLOTS + 1, Math.floor(begin / this.#width));
    for (let slot = oldest; slot <= this.#slot; slot++) {
      const overlap = Math.min(end, (slot + 1) * this.#width) - Math.max(begin, slot * this.#width);
      if (overlap <= 0) continue;
      for (const kind of KINDS) this.#rings[kind][slot % SLOTS] += (traffic[kind] * overlap) / span;
    }
  }

  /**
   * The slots up to a time, the oldest first, per second; null where nothing is known.
   * @param {number} time In ms; the slot that it is in is not complete and left out.
   * @returns {Series}
   */
  until(time) {
    const last = Math.floor(time / this.#width) - 1;
    const slots = Array.from({ length: SLOTS }, (_, index) => last - SLOTS + 1 + index);
    const series = (/** @type {Float64Array} */ ring) => slots.map((slot) => this.#value(ring, slot));
    const { calls, failures, rejections } = this.#rings;
    return { calls: series(calls), failures: series(failures), rejections: series(rejections) };
  }

  /**
   * How much happened per second in the latest slots before a time; null if nothing is known of them.
   * @param {"calls" | "failures" | "rejections"} kind
   * @param {number} time In ms.
   */
  rate(kind, time) {
    const last = Math.floor(time / this.#width) - 1;
    let sum = 0;
    let known = 0;
    for (let slot = last - RATE_SLOTS + 1; slot <= last; slot++) {
      const value = this.#value(this.#rings[kind], slot);
      if (value === null) continue;
      sum += value;
      known += 1;
    }
    return known ? sum / known : null;
  }

  /**
   * @param {Float64Array} ring
   * @param {number} slot
   */
  #value(ring, slot) {
    if (slot < this.#knownFrom) return null;
    const isKept = slot <= this.#slot && slot > this.#slot - SLOTS;
    return isKept ? (1000 * ring[slot % SLOTS]) / this.#width : 0;
  }

  /** @param {number} slot */
  #advance(slot) {
    const from = Math.max(this.#slot + 1, slot - SLOTS + 1);
    for (let next = from; next <= slot; next++) for (const kind of KINDS) this.#rings[kind][next % SLOTS] = 0;
    this.#slot = Math.max(this.#slot, slot);
  }
}
