// One connection to /events for all pages of this browser that are open at once.
//
// Over HTTP/1.1 a browser makes six connections to a service at most. A connection for each page would leave none for
// anything else from the sixth page on.
import { EventConnection } from "./connection.js";

const GONE_MS = 90000; // a page says every few seconds that it is there; one that was killed says nothing
const pages = new Map(); // port -> what it follows, and when it was last heard
let state = null;

const connection = new EventConnection(
  (status) => tell({ status }),
  (kind, data) => {
    if (kind === "state") state = data;
    tell({ kind, data }, (page) => kind === "state" || kind === "gap" || wants(page.filter, data));
  },
);

const wants = ({ product, station }, row) => [null, row.product].includes(product) && [null, row.station].includes(station);

function tell(message, wanted = () => true) {
  for (const [port, page] of pages) if (wanted(page)) port.postMessage(message);
}

// What all pages follow, or everything where they follow different things.
function common() {
  const filters = [...pages.values()].map((page) => page.filter);
  if (filters.length === 0) return null;
  const shared = (name) => (filters.every((one) => one[name] === filters[0][name]) ? filters[0][name] : null);
  return { product: shared("product"), station: shared("station") };
}

function take(port, filter) {
  const before = pages.get(port)?.filter;
  if (filter) pages.set(port, { filter, heard: Date.now() });
  else pages.delete(port);
  connection.follow(common());
  const isNew = filter && (filter.product !== before?.product || filter.station !== before?.station);
  if (!isNew || !connection.isOpen) return; // else it hears when the connection is open
  port.postMessage({ status: "open" });
  if (state) port.postMessage({ kind: "state", data: state });
}

self.onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => take(port, data.filter);
};

setInterval(() => {
  for (const [port, page] of pages) if (Date.now() - page.heard > GONE_MS) pages.delete(port);
  connection.follow(common());
}, GONE_MS);
