/** Charts of a breaker's traffic, drawn by uPlot: a small one without axes for each card, a large one for the details. */

/** @typedef {import("./history.js").Series} Series */

const KINDS = /** @type {const} */ (["calls", "failures", "rejections"]);

/** @param {string} name */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export class Chart {
  #place;
  #height;
  #hasAxes;
  /** @type {any} */
  #plot;

  /**
   * @param {HTMLElement} place
   * @param {number} height In CSS pixels.
   * @param {boolean} hasAxes
   */
  constructor(place, height, hasAxes) {
    this.#place = place;
    this.#height = height;
    this.#hasAxes = hasAxes;
  }

  /**
   * @param {Series} series
   * @param {number} end When the last slot ends, in ms.
   * @param {number} width Of a slot, in ms.
   */
  draw(series, end, width) {
    const count = series.calls.length;
    const times = Array.from({ length: count }, (_, index) => (end - (count - 1 - index) * width) / 1000);
    const data = [times, ...KINDS.map((kind) => series[kind])];
    const room = this.#place.clientWidth;
    if (!room) return;
    if (!this.#plot) this.#plot = this.#make(data, room);
    else {
      if (this.#plot.width !== room) this.#plot.setSize({ width: room, height: this.#height });
      this.#plot.setData(data);
    }
  }

  /** Removes the drawing; the next one has the current colours. */
  clear() {
    this.#plot?.destroy();
    this.#plot = undefined;
  }

  /**
   * @param {any[]} data
   * @param {number} width
   */
  #make(data, width) {
    const axis = { stroke: colour("faint"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const lines = KINDS.map((kind) => ({ stroke: colour(kind), width: this.#hasAxes ? 1.5 : 1.25, points: { show: false } }));
    const options = {
      width,
      height: this.#height,
      padding: this.#hasAxes ? [8, 8, 0, 0] : [2, 0, 2, 0],
      legend: { show: false },
      cursor: { show: false },
      select: { show: false },
      scales: { x: { time: true }, y: { range: (/** @type {any} */ _plot, /** @type {any} */ _low, /** @type {number} */ high) => [0, Math.max(high ?? 0, 1)] } },
      axes: this.#hasAxes ? [axis, { ...axis, size: 40 }] : [{ show: false }, { show: false }],
      series: [{}, ...lines],
    };
    return new /** @type {any} */ (window).uPlot(options, data, this.#place);
  }
}
