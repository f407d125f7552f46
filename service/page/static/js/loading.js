// Reads something for a view and says where it stands: loading, there, empty or failed; an answer that comes late is dropped.
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import { passes, pause } from "./backoff.js";
import { onEvent } from "./stream.js";

const FIRST_PAUSE_MS = 2000;

export function useLoaded(read, dependencies) {
  const [found, set] = useState({ state: "loading", data: null, error: null });
  const turn = useRef(0);
  const failures = useRef(0);
  const meanwhile = useRef(null); // what changed since the reading began: the answer may be older
  const again = useCallback(async () => {
    const mine = ++turn.current;
    meanwhile.current = [];
    try {
      const data = await read();
      if (mine !== turn.current) return;
      failures.current = 0;
      set({ state: "there", data: meanwhile.current.reduce((before, next) => next(before), data), error: null });
      meanwhile.current = null;
    } catch (error) {
      if (mine !== turn.current) return;
      failures.current += 1;
      meanwhile.current = null;
      set((before) => ({ state: "failed", data: before.data, error }));
    }
  }, dependencies);
  useEffect(() => {
    if (found.state !== "failed" || !passes(found.error)) return undefined;
    const timer = setTimeout(again, pause(failures.current, FIRST_PAUSE_MS));
    return () => clearTimeout(timer);
  }, [found]);
  useEffect(() => {
    set((before) => ({ ...before, state: "loading" }));
    again();
    return () => turn.current++;
  }, [again]);
  const change = useCallback((next) => {
    meanwhile.current?.push(next);
    set((before) => (before.data === null ? before : { ...before, data: next(before.data) }));
  }, []);
  return { ...found, again, change };
}

export function useEvents(listener) {
  const current = useRef(listener);
  current.current = listener;
  useLayoutEffect(() => onEvent((kind, data) => current.current(kind, data)), []); // at once, so that no event is lost
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
