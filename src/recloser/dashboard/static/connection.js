/**
 * The stream of events, kept up.
 *
 * A browser takes a lost stream up again by itself, and tells the server the last event that it had. It gives up when it
 * gets an answer that is no stream; then, and when the server has been silent for too long, this takes over.
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

  /** Opens the stream, after the last event that is known. */
  open() {
    this.#source?.close();
    const last = this.#lastId ? `?last=${encodeURIComponent(this.#lastId)}` : "";
    const source = new EventSource(this.#url + last);
    this.#source = source;
    source.addEventListener("error", () => this.#lost(source));
    source.addEventListener("alive", () => this.#heard());
    source.addEventListener("snapshot", (event) => {
      const data = JSON.parse(event.data);
      this.#quietMs = 1000 * (data.dashboard.quiet_seconds ?? Infinity);
      this.#hear(event, this.#listener.snapshot, data);
    });
    source.addEventListener("update", (event) => this.#hear(event, this.#listener.update, JSON.parse(event.data)));
    source.addEventListener("open", () => this.#heard());
    this.#waitForWord();
  }

  /**
   * @param {MessageEvent} event
   * @param {(data: any) => void} listener
   * @param {any} data
   */
  #hear(event, listener, data) {
    this.#lastId = event.lastEventId;
    listener(data);
    this.#heard();
  }

  #heard() {
    this.#wait = FIRST_WAIT_MS;
    this.#tell("live");
    this.#waitForWord();
  }

  /** Has the stream opened anew, again and again, unless something is heard in time. */
  #waitForWord() {
    clearTimeout(this.#watch);
    if (Number.isFinite(this.#quietMs)) this.#watch = setTimeout(() => this.#reopen(), SILENCES * this.#quietMs);
  }

  /** @param {EventSource} source */
  #lost(source) {
    this.#tell("reconnecting");
    if (source !== this.#source || source.readyState !== EventSource.CLOSED) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.open(), this.#wait);
    this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT_MS);
  }

  #reopen() {
    this.#tell("reconnecting");
    this.open();
  }

  /** @param {"live" | "reconnecting"} state */
  #tell(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#listener.state(state, Date.now());
  }
}
