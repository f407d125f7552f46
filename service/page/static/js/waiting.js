// How many parts wait for a person: the badge beside Review.
import { get } from "./api.js";
import { createStore } from "./store.js";

export const waiting = createStore(0);

// The views that list them know the count; the others ask.
export async function countWaiting(filter) {
  try {
    waiting.set((await get("reviews", { ...filter, limit: 1 })).waiting);
  } catch {
    // a service without a store has no such parts
  }
}
