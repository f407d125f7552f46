// The service's events: verdicts, reviews and its state, as they happen. What has not been heard of is never taken as good.
//
// A browser reconnects by itself after a short cut and says which event it saw last. One that slept, or whose
// connection hangs without an end, is noticed here: the service says its state every 15 s, and silence means "cut".
import { address } from "./api.js";
import { createStore } from "./store.js";

const SILENCE_MS = 40000;
const RETRY_MS = 3000;
const HIDDEN_MS = 60000; // a page that nobody sees gives its connection back
const KINDS = ["verdict", "review", "state", "gap"];

export const stream = createStore({ status: "connecting", since: Date.now(), server: null });
const listeners = new Set();
let source = null;
let filter = null;
let heard = 0;
let last = null; // id of the newest verdict that was told
let timers = {};

export function onEvent(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function follow(next) {
  filter = next;
  last = null;
  open();
}

export function leave() {
  filter = null;
  close();
}

function tell(kind, data) {
  for (const listener of [...listeners]) listener(kind, data);
}

function status(name) {
  if (stream.get().status !== name) stream.set((before) => ({ ...before, status: name, since: Date.now() }));
}

function close() {
  source?.close();
  source = null;
  clearTimeout(timers.retry);
}

function open() {
  close();
  if (!filter) return;
  const made = (source = new EventSource(address("events", { ...filter, after: last })));
  made.onopen = () => hear();
  made.onerror = () => {
    status("cut");
    if (made.readyState === EventSource.CLOSED && source === made) timers.retry = setTimeout(open, RETRY_MS);
  };
  for (const kind of KINDS) {
    made.addEventListener(kind, (event) => {
      hear();
      const data = event.data ? JSON.parse(event.data) : null;
      if (kind === "verdict") last = data.id;
      if (kind === "state") stream.set((before) => ({ ...before, server: data }));
      tell(kind, data);
    });
  }
}

// After a cut the service tells what was missed; the views read their own figures anew.
function hear() {
  heard = Date.now();
  const was = stream.get().status;
  status("open");
  if (was !== "open") tell("resumed", null);
}

function watch() {
  if (!filter || !source) return;
  if (stream.get().status === "open" && Date.now() - heard > SILENCE_MS) {
    status("cut");
    open();
  }
}

function onVisibility() {
  clearTimeout(timers.hidden);
  if (document.hidden) {
    timers.hidden = setTimeout(() => {
      close();
      status("cut");
    }, HIDDEN_MS);
  } else if (!source || Date.now() - heard > SILENCE_MS) {
    status("cut");
    open();
  }
}

setInterval(watch, 5000);
document.addEventListener("visibilitychange", onVisibility);
window.addEventListener("online", () => filter && open());
window.addEventListener("offline", () => status("cut"));
