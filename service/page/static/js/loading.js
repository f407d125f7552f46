// Reads something for a view and says where it stands: loading, there, empty or failed; an answer that comes late is dropped.
import { useCallback, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { onEvent } from "./stream.js";

const RETRY_MS = 3000;
const FOR_GOOD = ["feedback_off", "trainings_off"];

// No answer, or one that says to come again: a service that starts, a store that is being opened, too much load.
const passes = (error) => [0, 429, 503].includes(error.status) && !FOR_GOOD.includes(error.code);

export function useLoaded(read, dependencies) {
  const [found, set] = useState({ state: "loading", data: null, error: null });
  const turn = useRef(0);
  const again = useCallback(async () => {
    const mine = ++turn.current;
    try {
      const data = await read();
      if (mine === turn.current) set({ state: "there", data, error: null });
    } catch (error) {
      if (mine === turn.current) set((before) => ({ state: "failed", data: before.data, error }));
    }
  }, dependencies);
  useEffect(() => {
    if (found.state !== "failed" || !passes(found.error)) return undefined;
    const timer = setTimeout(again, RETRY_MS);
    return () => clearTimeout(timer);
  }, [found]);
  useEffect(() => {
    set((before) => ({ ...before, state: "loading" }));
    again();
    return () => turn.current++;
  }, [again]);
  const change = useCallback((next) => set((before) => ({ ...before, data: next(before.data) })), []);
  return { ...found, again, change };
}

export function useEvents(listener) {
  const current = useRef(listener);
  current.current = listener;
  useEffect(() => onEvent((kind, data) => current.current(kind, data)), []);
}

export function useEvery(milliseconds, run, active = true) {
  const current = useRef(run);
  current.current = run;
  useEffect(() => {
    if (!active) return undefined;
    const timer = setInterval(() => !document.hidden && current.current(), milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds, active]);
}
