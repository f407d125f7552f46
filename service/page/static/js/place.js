// Which product and station are looked at, and which there are to choose from.
import { get } from "./api.js";
import { passes, pause } from "./backoff.js";
import { createStore, keptStore } from "./store.js";

const FIRST_PAUSE_MS = 1000;
export const product = keptStore("product", null);
export const station = keptStore("station", null);
export const products = createStore({ state: "loading", names: [], error: null });
export const stations = createStore(station.get() ? [station.get()] : []);
let failures = 0;
let timer = null;

export async function loadProducts() {
  clearTimeout(timer);
  try {
    const names = (await get("products")).products.map((one) => one.name);
    failures = 0;
    products.set({ state: "there", names, error: null });
    if (product.get() && !names.includes(product.get())) product.set(null);
  } catch (error) {
    products.set((before) => (before.state === "there" ? before : { ...before, state: "failed", error }));
    if (passes(error)) timer = setTimeout(loadProducts, pause(++failures, FIRST_PAUSE_MS));
  }
}

// A station is known once a part of it has been seen: the service keeps no list of them.
export function noteStations(rows) {
  const known = new Set(stations.get());
  for (const row of rows) if (row.station) known.add(row.station);
  if (known.size !== stations.get().length) stations.set([...known].sort());
}
