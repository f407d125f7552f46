// The last hundred verdicts as a row of marks, oldest left: height and shape tell the decision, not the colour alone.
// One control for finger and keyboard: drag over it, or use the arrows, to look back at a part.
import { html, useRef } from "../vendor/htm-preact.js";
import { clock, t } from "../i18n.js";
import { partName } from "./verdict.js";

export const LENGTH = 100;
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -LENGTH, End: LENGTH };

export function Strip({ rows, chosen, onChoose }) {
  const track = useRef(null);
  const inOrder = [...rows].reverse();
  const last = inOrder.length - 1;
  const at = chosen === null ? last : inOrder.findIndex((row) => row.id === chosen);
  const choose = (index) => {
    const row = inOrder[Math.max(0, Math.min(last, index))];
    if (row) onChoose(row);
  };
  const point = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const box = track.current.getBoundingClientRect();
    const place = Math.floor(((event.clientX - box.left) / box.width) * LENGTH);
    choose(place - (LENGTH - inOrder.length));
  };
  const press = (event) => {
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    choose(at + STEPS[event.key]);
  };
  const here = inOrder[at];
  return html`<section class="card strip-card">
    <header class="card-head"><h2>${t("strip.title", { count: rows.length })}</h2><${Counts} rows=${rows} /></header>
    <div class="strip" ref=${track} role="slider" tabindex="0" aria-label=${t("strip.label")} aria-valuemin="1"
      aria-valuemax=${Math.max(1, inOrder.length)} aria-valuenow=${at + 1}
      aria-valuetext=${here ? `${here.decision}, ${partName(here)}, ${clock(here.at)}` : t("chart.no_parts")}
      onKeyDown=${press} onPointerDown=${point} onPointerMove=${point}>
      ${Array.from({ length: LENGTH - inOrder.length }, (_, index) => html`<i key=${`empty${index}`} class="mark"></i>`)}
      ${inOrder.map((row) => html`<i key=${row.id} class="mark mark-${row.decision} ${row.id === chosen ? "mark-chosen" : ""}"><b></b></i>`)}
    </div>
  </section>`;
}

function Counts({ rows }) {
  const counts = { OK: 0, REVIEW: 0, NG: 0 };
  for (const row of rows) counts[row.decision] += 1;
  return html`<p class="counts">${Object.entries(counts).map(
    ([name, count]) => html`<span key=${name} class="count count-${name}"><b>${count}</b> ${name}</span>`)}</p>`;
}
