// Who is logged in and what that allows. The key itself is sent once and kept nowhere in the browser.
import { get, post, remove, useToken } from "./api.js";
import { createStore } from "./store.js";

const RENEW_MS = 20 * 60 * 1000; // the service renews a session that is half over when it is asked
export const session = createStore({ state: "loading", scopes: [], name: null, keysNeeded: false, over: false });

export const may = (scope) => session.get().scopes.includes(scope);

export async function loadSession() {
  try {
    const found = await get("session");
    const inside = !found.keys_needed || found.name !== null;
    useToken(found.csrf_token, () => onUnauthorized());
    session.set((before) => ({
      state: inside ? "inside" : "outside",
      scopes: found.scopes,
      name: found.name,
      keysNeeded: found.keys_needed,
      over: !inside && before.over,
    }));
  } catch (error) {
    session.set((before) => (before.state === "inside" ? before : { ...before, state: "unknown", error }));
  }
}

// A request was refused: the key was taken away, or the session is over. What is on the screen says so.
function onUnauthorized() {
  if (session.get().state === "inside") session.set((before) => ({ ...before, state: "outside", scopes: [], over: true }));
}

export async function logIn(key) {
  await post("session", { key });
  await loadSession();
}

export async function logOut() {
  await remove("session");
  session.set((before) => ({ ...before, over: false }));
  await loadSession();
}

setInterval(() => session.get().state === "inside" && loadSession(), RENEW_MS);
