/**
 * The server's time, estimated from its messages.
 *
 * The browser's own clock may be wrong by minutes, and a value such as "30 s until the next probe" counts from when the
 * server sent it, even if the message arrives late. The latest time that a message shows is the best estimate, because
 * messages can only be late. If the server's clock is put back, the estimate follows.
 */

const MOST_LATENESS_MS = 5000;

export class ServerClock {
  #offset = -Infinity;

  /**
   * Takes over the time of a message.
   * @param {number} timestamp Milliseconds since 1970.
   * @returns {number} By how much the server's clock was put back, in ms; 0 if it was not.
   */
  adjust(timestamp) {
    const offset = timestamp - performance.now();
    const step = offset - this.#offset;
    if (step <= 0 && step >= -MOST_LATENESS_MS) return 0;
    this.#offset = offset;
    return Math.max(0, -step);
  }

  /** Milliseconds since 1970. */
  now() {
    return Number.isFinite(this.#offset) ? this.#offset + performance.now() : Date.now();
  }
}
