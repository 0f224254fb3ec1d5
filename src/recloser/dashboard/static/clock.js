/**
 * The server's time, as far as its messages tell it.
 *
 * The browser's own clock may be wrong by minutes, and values such as "30 s until the next probe" hold from when the
 * server said so, also if the message comes late. What is heard latest in the server's time is the best estimate, for a
 * message can only be late; a clock that was put back is followed.
 */

const MOST_LATENESS_MS = 5000;

export class ServerClock {
  #offset = -Infinity;

  /**
   * Takes note of the time in a message.
   * @param {number} timestamp Milliseconds since 1970.
   * @returns {number} By how much the server's clock was put back, in ms; 0 if it was not.
   */
  hear(timestamp) {
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
