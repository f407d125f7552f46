// Who is logged in and what that allows. The key itself is sent once and kept nowhere in the browser.
import { get, post, remove, useToken } from "./api.js";
import { pause } from "./backoff.js";
import { createStore } from "./store.js";

const RENEW_MS = 20 * 60 * 1000; // the service renews a session that is half over when it is asked
const PATIENCE_MS = 6000; // the page shows nothing until this is answered
const FIRST_PAUSE_MS = 500;
export const session = createStore({ state: "loading", scopes: [], name: null, keysNeeded: false, over: false });

export const may = (scope) => session.get().scopes.includes(scope);

let failures = 0;
let timer = null;

// What is not answered is asked again: the page can show nothing before it knows who looks.
export async function loadSession() {
  clearTimeout(timer);
  try {
    const found = await get("session", {}, PATIENCE_MS);
    failures = 0;
    const inside = !found.keys_needed || found.name !== null;
    useToken(found.csrf_token, () => onUnauthorized());
    session.set((before) => ({
      state: inside ? "inside" : "outside",
      scopes: found.scopes,
      name: found.name,
      keysNeeded: found.keys_needed,
      over: !inside && (before.over || before.state === "inside"),
    }));
  } catch (error) {
    session.set((before) => (before.state === "inside" ? before : { ...before, state: "unknown", error }));
    if (session.get().state === "unknown") timer = setTimeout(loadSession, pause(++failures, FIRST_PAUSE_MS));
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
  session.set((before) => ({ ...before, state: "outside", scopes: [], over: false }));
  await loadSession();
}

setInterval(() => session.get().state === "inside" && loadSession(), RENEW_MS);
