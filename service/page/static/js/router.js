// Which view is shown: the part of the address after #, so that a reload and a link show the same.
import { createStore } from "./store.js";

export const VIEWS = ["live", "review", "teach", "what-if", "products", "defects"];

function read() {
  const [view, ...rest] = decodeURIComponent(location.hash.replace(/^#\/?/, "")).split("/");
  return { view: VIEWS.includes(view) ? view : "live", rest: rest.filter(Boolean) };
}

export const route = createStore(read());

export const linkTo = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;

export function go(...parts) {
  location.hash = linkTo(...parts);
}

window.addEventListener("hashchange", () => route.set(read()));
