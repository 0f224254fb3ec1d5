/**
 * The stream of events, opened again whenever it is lost.
 *
 * A browser opens a lost stream again by itself, and sends the number of the last event that it has received. It gives up
 * when the response is not a stream. Then, and when the server has been silent for too long, this module opens it again.
 */

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 10000;
const SILENCES = 2.5;

/**
 * @typedef {object} Listener
 * @property {(data: any) => void} snapshot
 * @property {(data: any) => void} update
 * @property {(state: "live" | "reconnecting", since: number) => void} state With the time in ms.
 */

export class Connection {
  #url;
  #listener;
  #lastId = "";
  #wait = FIRST_WAIT_MS;
  #quietMs = Infinity;
  /** @type {EventSource | undefined} */
  #source;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #watch;
  /** @type {string | undefined} */
  #state;

  /**
   * @param {string} url
   * @param {Listener} listener
   */
  constructor(url, listener) {
    this.#url = url;
    this.#listener = listener;
  }

  /** Opens the stream, after the last event that was received. */
  open() {
    this.#source?.close();
    const last = this.#lastId ? `?last=${encodeURIComponent(this.#lastId)}` : "";
    const source = new EventSource(this.#url + last);
    this.#source = source;
    source.addEventListener("error", () => this.#lost(source));
    source.addEventListener("alive", () => this.#confirm());
    source.addEventListener("snapshot", (event) => {
      const data = JSON.parse(event.data);
      this.#quietMs = 1000 * (data.dashboard.quiet_seconds ?? Infinity);
      this.#receive(event, this.#listener.snapshot, data);
    });
    source.addEventListener("update", (event) => this.#receive(event, this.#listener.update, JSON.parse(event.data)));
    source.addEventListener("open", () => this.#confirm());
    this.#limitSilence();
  }

  /**
   * @param {MessageEvent} event
   * @param {(data: any) => void} listener
   * @param {any} data
   */
  #receive(event, listener, data) {
    this.#lastId = event.lastEventId;
    listener(data);
    this.#confirm();
  }

  #confirm() {
    this.#wait = FIRST_WAIT_MS;
    this.#report("live");
    this.#limitSilence();
  }

  /** Opens the stream again, as often as it takes, if nothing is received in time. */
  #limitSilence() {
    clearTimeout(this.#watch);
    if (Number.isFinite(this.#quietMs)) this.#watch = setTimeout(() => this.#reopen(), SILENCES * this.#quietMs);
  }

  /** @param {EventSource} source */
  #lost(source) {
    this.#report("reconnecting");
    if (source !== this.#source || source.readyState !== EventSource.CLOSED) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.open(), this.#wait);
    this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT_MS);
  }

  #reopen() {
    this.#report("reconnecting");
    this.open();
  }

  /** @param {"live" | "reconnecting"} state */
  #report(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#listener.state(state, Date.now());
  }
}
