// Which product and station are looked at, and which there are to choose from.
import { get } from "./api.js";
import { createStore, keptStore } from "./store.js";

export const product = keptStore("product", null);
export const station = keptStore("station", null);
export const products = createStore([]);
export const stations = createStore(station.get() ? [station.get()] : []);

export async function loadProducts() {
  const found = await get("products");
  const names = found.products.map((one) => one.name);
  products.set(names);
  if (product.get() && !names.includes(product.get())) product.set(null);
}

// A station is known once a part of it has been seen: the service keeps no list of them.
export function noteStations(rows) {
  const known = new Set(stations.get());
  for (const row of rows) if (row.station) known.add(row.station);
  if (known.size !== stations.get().length) stations.set([...known].sort());
}
