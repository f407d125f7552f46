// How many parts wait for a person: the badge beside Review.
import { createStore } from "./store.js";

export const waiting = createStore(0);
