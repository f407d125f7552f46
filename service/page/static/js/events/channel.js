// How a page hears of events: from the worker that all pages of the browser share, or from a connection of its own where
// the browser has no such workers.
import { EventConnection } from "./connection.js";

const STILL_HERE_MS = 20000;
const file = new URL("./worker.js", import.meta.url).href;

// Calls `hear` with {status} or {kind, data}; gives the function that says what is followed, null for nothing.
export function openChannel(hear) {
  let filter = null;
  let send = shared(hear, () => {
    send = own(hear);
    send(filter);
  });
  send ??= own(hear);
  const follow = (next) => send((filter = next));
  setInterval(() => filter && follow(filter), STILL_HERE_MS);
  return follow;
}

function own(hear) {
  const connection = new EventConnection((status) => hear({ status }), (kind, data) => hear({ kind, data }));
  return (filter) => connection.follow(filter);
}

function shared(hear, onFailure) {
  if (!("SharedWorker" in window)) return null;
  const worker = new SharedWorker(trusted(file), { type: "module", name: "events" });
  worker.onerror = onFailure;
  worker.port.onmessage = ({ data }) => hear(data);
  return (filter) => worker.port.postMessage({ filter });
}

// The page's policy lets no text become a script; this one address is the exception.
function trusted(address) {
  const policy = window.trustedTypes?.createPolicy("mkdserve-worker", { createScriptURL: () => address });
  return policy ? policy.createScriptURL("") : address;
}
