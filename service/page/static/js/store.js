// A value that several parts of the page look at: get, set, and a hook that draws anew when it changes.
import { useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";

export function createStore(value) {
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      value = typeof next === "function" ? next(value) : next;
      for (const listener of [...listeners]) listener(value);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function useStore(store) {
  const [, draw] = useState(0);
  const shown = useRef();
  shown.current = store.get();
  useLayoutEffect(() => { // at once with what is shown: an effect runs up to 100 ms later, and misses what changes until then
    const look = () => draw((count) => count + 1);
    if (store.get() !== shown.current) look();
    return store.subscribe(look);
  }, [store]);
  return shown.current;
}

// What a person chose stays on this machine, and first of all in this tab: two tabs may look at two stations. Where the
// browser keeps nothing, it lasts as long as the page.
export function keptStore(name, fallback) {
  const key = `mkdserve.${name}`;
  const store = createStore(read(() => sessionStorage, key) ?? read(() => localStorage, key) ?? fallback);
  store.subscribe((value) => {
    try {
      sessionStorage.setItem(key, JSON.stringify(value));
      localStorage.setItem(key, JSON.stringify(value));
    } catch {
      // a browser that keeps nothing
    }
  });
  return store;
}

function read(storage, key) {
  try {
    return JSON.parse(storage().getItem(key));
  } catch {
    return null;
  }
}
