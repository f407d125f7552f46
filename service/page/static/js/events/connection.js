// One connection to /events, made again after every cut, behind the last verdict that was heard of.
//
// The service says its state every 15 s, so that silence is a cut as well: of a browser that slept, of a connection that
// hangs without an end.
import { address } from "../address.js";
import { pause } from "../backoff.js";

export const SILENCE_MS = 40000;
const FIRST_PAUSE_MS = 1000;
const WATCH_MS = 5000;
const KINDS = ["verdict", "review", "state", "gap"];
const same = (one, other) => one?.product === other?.product && one?.station === other?.station;

export class EventConnection {
  // `onStatus` is told "open" and "cut", `onEvent` the kind and data of each event.
  constructor(onStatus, onEvent) {
    Object.assign(this, { onStatus, onEvent, isOpen: false, filter: null, source: null, last: null, heard: 0, failures: 0 });
    setInterval(() => this.source && Date.now() - this.heard > SILENCE_MS && this.cut(), WATCH_MS);
  }

  // What is followed from now on, {product, station} with null for all; null for nothing. What came before is not told:
  // who hears "open" reads it.
  follow(filter) {
    if (same(filter, this.filter)) return;
    Object.assign(this, { filter, last: null, failures: 0 });
    this.open();
  }

  open() {
    this.close();
    if (!this.filter) return;
    this.heard = Date.now();
    const made = (this.source = new EventSource(address("events", { ...this.filter, after: this.last })));
    made.onopen = () => {
      this.isOpen = true;
      this.failures = 0;
      this.heard = Date.now();
      this.onStatus("open");
    };
    made.onerror = () => this.cut();
    for (const kind of KINDS) {
      made.addEventListener(kind, (event) => {
        this.heard = Date.now();
        const data = event.data ? JSON.parse(event.data) : null;
        if (kind === "verdict") this.last = data.id;
        this.onEvent(kind, data);
      });
    }
  }

  // The browser would try again by itself, always after the same time, and not at all where it was refused.
  cut() {
    this.close();
    this.onStatus("cut");
    this.failures += 1;
    this.timer = setTimeout(() => this.open(), pause(this.failures, FIRST_PAUSE_MS));
  }

  close() {
    this.source?.close();
    this.source = null;
    this.isOpen = false;
    clearTimeout(this.timer);
  }
}
