// Live: the last verdict large, its picture and map, the last hundred, and the shift so far.
import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { get } from "../api.js";
import { clock, t } from "../i18n.js";
import { useKeys } from "../keys.js";
import { useEvents, useEvery, useLoaded } from "../loading.js";
import { noteStations, product, station } from "../place.js";
import { keptStore, useStore } from "../store.js";
import { waiting } from "../waiting.js";
import { PValueChart, RateChart } from "../parts/charts.js";
import { Picture, strength } from "../parts/picture.js";
import { Choice } from "../parts/settings.js";
import { Empty, Loaded } from "../parts/states.js";
import { LENGTH, Strip } from "../parts/strip.js";
import { Facts, Gauge, VerdictBlock } from "../parts/verdict.js";

const shift = keptStore("shift", "8");
const STATISTICS_MS = 15000;
const BUCKETS = 48;

export function LiveView({ trust }) {
  const filter = { product: useStore(product), station: useStore(station) };
  const rows = useLoaded(async () => (await get("verdicts", { ...filter, limit: LENGTH })).verdicts, Object.values(filter));
  const [chosen, setChosen] = useState(null);
  useEffect(() => rows.data && noteStations(rows.data), [rows.data]);
  useEvents((kind, data) => {
    if (kind === "resumed") rows.again();
    if (kind === "verdict" || kind === "review") rows.change((before) => merged(before ?? [], data));
  });
  return html`<${Loaded} of=${rows}>${(found) => html`<${Shown} rows=${found} filter=${filter} trust=${trust}
    chosen=${found.some((row) => row.id === chosen) ? chosen : null} onChoose=${setChosen} />`}</${Loaded}>`;
}

// Newest first; an event may come twice after a cut, and a review changes a row that is there.
function merged(rows, row) {
  const others = rows.filter((one) => one.id !== row.id);
  return [...others, row].sort((one, other) => other.id - one.id).slice(0, LENGTH);
}

function Shown({ rows, filter, trust, chosen, onChoose }) {
  const newest = rows[0] ?? null;
  const row = chosen === null ? newest : rows.find((one) => one.id === chosen);
  const choose = (one) => onChoose(one.id === newest.id ? null : one.id);
  const step = (by) => () => {
    const next = rows[rows.indexOf(row) + by];
    if (next) choose(next);
  };
  useKeys({
    Escape: () => onChoose(null),
    ArrowLeft: step(1),
    ArrowRight: step(-1),
    m: () => strength.set((before) => (before > 0 ? 0 : 60)),
  });
  const untrusted = trust.cut || trust.unready !== null;
  return html`<div class="live">
    <div class="live-side">
      <${VerdictBlock} row=${row} stale=${chosen === null && untrusted}
        note=${chosen !== null ? t("live.looking_back", { time: clock(row.at) }) : null} />
      ${chosen !== null && html`<button class="button main wide" onClick=${() => onChoose(null)}>${t("live.newest")}<kbd>Esc</kbd></button>`}
      ${row ? html`<section class="card"><${Gauge} row=${row} /><${Facts} row=${row} /></section>`
        : html`<section class="card"><${Empty} icon="live" title=${t("live.empty")}>${t("live.empty.words")}</${Empty}></section>`}
    </div>
    <div class="live-picture card"><${Picture} row=${row} /></div>
    <${Strip} rows=${rows} chosen=${chosen} onChoose=${choose} />
    <${Shift} filter=${filter} />
  </div>`;
}

function Shift({ filter }) {
  const hours = useStore(shift);
  const since = () => new Date(Date.now() - Number(hours) * 3600e3).toISOString();
  const found = useLoaded(() => get("statistics", { ...filter, since: since(), buckets: BUCKETS }), [...Object.values(filter), hours]);
  useEvery(STATISTICS_MS, found.again);
  useEffect(() => found.data && waiting.set(found.data.waiting), [found.data]);
  return html`<section class="card shift">
    <header class="card-head"><h2>${t("shift.title")}</h2>
      <${Choice} label=${t("shift.hours")} value=${hours} onChoose=${(value) => shift.set(value)}
        options=${["1", "8", "24"].map((value) => [value, t("shift.last", { hours: value })])} /></header>
    <${Loaded} of=${found}>${({ decisions, p_values: counts }) => html`<div class="shift-charts">
      <div><h3>${t("shift.rates")}</h3><${RateChart} buckets=${decisions} /></div>
      <div><h3>${t("shift.p_values")}</h3><${PValueChart} counts=${counts} /></div></div>`}</${Loaded}>
  </section>`;
}
