/** A stream of numbered events that survives: it goes on where it was, whatever broke. */
import { address } from "./api.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;

/**
 * Follow `path` from behind the event `after`. A browser reopens a broken stream by itself, but gives up for good where
 * the service answers with an error (it is starting, or has no place left); then this opens a new one from the last
 * event that came. Every event comes once and in order: what a reopened stream repeats is dropped here.
 */
export class Stream {
  /** @param {{path: string, after: number, onEvent: (event: any) => void, onState: (state: string) => void}} options
   *  States: `connecting`, `live`, `lost` (it tries again), `done` (the job has ended, and all of its log came). */
  constructor({ path, after, onEvent, onState }) {
    Object.assign(this, { path, last: after, onEvent, onState });
    this.wait = FIRST_WAIT;
    this.closed = false;
    this.look = () => (document.hidden ? this.rest() : this.open());
    document.addEventListener("visibilitychange", this.look);
    this.look();
  }

  /** A page that nobody sees gives its connection back: over HTTP/1.1 a browser has six to a service for all tabs
   *  together, and a seventh page would wait for ever. What it missed comes when somebody looks again. */
  rest() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  open() {
    clearTimeout(this.timer);
    if (this.closed || (this.source && this.source.readyState !== EventSource.CLOSED)) return;
    this.onState("connecting");
    const source = new EventSource(address(this.path, { after: this.last }));
    this.source = source;
    source.onopen = () => {
      this.wait = FIRST_WAIT;
      this.onState("live");
    };
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (event.seq <= this.last) return;
      this.last = event.seq;
      this.onEvent(event);
    };
    source.addEventListener("done", () => {
      this.close();
      this.onState("done");
    });
    source.onerror = () => {
      this.onState("lost");
      if (source.readyState !== EventSource.CLOSED || this.closed) return;
      this.timer = setTimeout(() => this.open(), this.wait);
      this.wait = Math.min(LONGEST_WAIT, this.wait * 2);
    };
  }

  close() {
    this.closed = true;
    document.removeEventListener("visibilitychange", this.look);
    this.rest();
  }
}
