// The service's events: verdicts, reviews and its state, as they happen. What has not been heard of is never taken as good.
import { createStore } from "./store.js";
import { openChannel } from "./events/channel.js";
import { SILENCE_MS } from "./events/connection.js";

const WATCH_MS = 5000;
const HIDDEN_MS = 10000; // a page that nobody sees follows nothing

export const stream = createStore({ status: "connecting", since: Date.now(), server: null });
const listeners = new Set();
let channel = null;
let filter = null;
let heard = 0;
let hidden = null;

export function onEvent(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function follow(next) {
  filter = next;
  if (!document.hidden) begin();
}

export function leave() {
  filter = null;
  channel?.(null);
}

function begin() {
  channel ??= openChannel(hear);
  channel(filter);
}

function tell(kind, data) {
  for (const listener of [...listeners]) listener(kind, data);
}

function status(name) {
  if (stream.get().status !== name) stream.set((before) => ({ ...before, status: name, since: Date.now() }));
}

// After a cut the service tells what was missed; the views read their own figures anew.
function hear({ status: name, kind, data }) {
  if (!filter) return;
  if (name) status(name);
  if (name === "open") tell("resumed", null);
  if (name === "cut") tell("cut", null);
  if (name !== "cut") heard = Date.now();
  if (!kind) return;
  if (kind === "state") stream.set((before) => ({ ...before, server: data }));
  tell(kind, data);
}

function watch() {
  if (!filter || document.hidden || stream.get().status !== "open" || Date.now() - heard <= SILENCE_MS) return;
  status("cut");
  channel(null);
  channel(filter);
}

function onVisibility() {
  clearTimeout(hidden);
  if (!document.hidden) {
    if (filter) begin();
    watch();
    return;
  }
  hidden = setTimeout(() => {
    channel?.(null);
    status("cut");
  }, HIDDEN_MS);
}

setInterval(watch, WATCH_MS);
document.addEventListener("visibilitychange", onVisibility);
window.addEventListener("pagehide", () => channel?.(null));
window.addEventListener("pageshow", (event) => event.persisted && filter && begin());
window.addEventListener("online", () => filter && (channel?.(null), begin()));
window.addEventListener("offline", () => filter && status("cut"));
