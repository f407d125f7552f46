// What if: move the false-reject rate and see, on the verdicts that are stored, which parts would change sides.
import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { get } from "../api.js";
import { figure, number, percent, t } from "../i18n.js";
import { useLoaded } from "../loading.js";
import { keptStore, useStore } from "../store.js";
import { Picture, pictureOf } from "../parts/picture.js";
import { Dialog } from "../parts/dialog.js";
import { Icon } from "../parts/icons.js";
import { Choice } from "../parts/settings.js";
import { Sign, Tag } from "../parts/sign.js";
import { Failed, Loading } from "../parts/states.js";
import { Facts, Gauge, partName } from "../parts/verdict.js";
import { OfProduct } from "../parts/of_product.js";

const STEPS = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2];
const SETTLE_MS = 250;
const days = keptStore("whatif", "7");

export const WhatIfView = () => html`<${OfProduct} view=${WhatIf} />`;

function useSettled(value) {
  const [settled, set] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => set(value), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

function WhatIf({ name }) {
  const [step, setStep] = useState(STEPS.indexOf(0.01));
  const span = useStore(days);
  const rate = useSettled(STEPS[step]);
  const since = () => new Date(Date.now() - Number(span) * 86400e3).toISOString();
  const found = useLoaded(() => get(`products/${encodeURIComponent(name)}/what-if`, { max_false_reject: rate, since: since() }), [name, rate, span]);
  return html`<div class="what-if">
    <section class="card what-if-ask">
      <div class="rate"><label for="rate">${t("what_if.rate")}</label><output for="rate" data-testid="rate">${percent(STEPS[step], 2)}</output></div>
      <input id="rate" class="range-large" type="range" min="0" max=${STEPS.length - 1} value=${step} aria-valuetext=${percent(STEPS[step], 2)}
        onInput=${(event) => setStep(Number(event.target.value))} />
      <div class="range-ends"><span>${percent(STEPS[0], 2)}</span><span>${t("what_if.words")}</span><span>${percent(STEPS.at(-1), 0)}</span></div>
      <${Choice} label=${t("what_if.span")} value=${span} onChoose=${(value) => days.set(value)}
        options=${[["1", "day"], ["7", "week"], ["30", "month"]].map(([value, key]) => [value, t(`what_if.${key}`)])} />
    </section>
    ${found.state === "failed" ? html`<${Failed} error=${found.error} again=${found.again} />`
      : found.data ? html`<${Outcome} found=${found.data} busy=${found.state === "loading"} />` : html`<${Loading} />`}
  </div>`;
}

function Outcome({ found, busy }) {
  const { now, then } = found;
  const [open, setOpen] = useState(null);
  return html`<section class="card sides ${busy ? "busy" : ""}" aria-busy=${busy}>
      ${["OK", "REVIEW", "NG"].map((name) => html`<${Side} key=${name} name=${name} now=${now.counts[name]} then=${then.counts[name]} />`)}
      <${Thresholds} found=${found} />
    </section>
    <section class="card" aria-busy=${busy}><h2>${t("what_if.changed", { count: found.changed_total })}</h2>
      ${found.changed.length === 0 ? html`<p class="soft">${t("what_if.none")}</p>`
        : html`<ul class="tiles">${found.changed.map((row) => html`<${Tile} key=${row.id} row=${row} onOpen=${() => setOpen(row)} />`)}</ul>`}
    </section>
    ${open && html`<${Dialog} title=${partName(open)} onClose=${() => setOpen(null)}><${Picture} row=${open} /><${Gauge} row=${open} /><${Facts} row=${open} /></${Dialog}>`}`;
}

function Side({ name, now, then }) {
  const by = then - now;
  return html`<div class="side side-${name}"><${Sign} decision=${name} /><div><p class="side-name">${name}</p>
    <p class="side-count"><b>${number(then)}</b> <span class=${by ? "side-change" : "soft"}>${by > 0 ? `+${number(by)}` : by < 0 ? `−${number(-by)}` : t("what_if.same")}</span></p>
    <p class="soft">${t("what_if.now", { count: now })}</p></div></div>`;
}

function Thresholds({ found }) {
  return html`<p class="sides-threshold soft">${t("gauge.threshold")} ${figure(found.now.threshold)} <${Icon} name="arrow" /> <b>${figure(found.then.threshold)}</b>
    <span>${t("what_if.promised", { rate: percent(found.then.rate_promised, 2) })}</span></p>`;
}

function Tile({ row, onOpen }) {
  return html`<li><button class="tile" onClick=${onOpen}>
    ${row.picture ? html`<img src=${pictureOf(row)} alt="" loading="lazy" />` : html`<span class="tile-none"><${Icon} name="picture" /></span>`}
    <span class="tile-words"><span class="tile-sides"><${Tag} decision=${row.decision} /><${Icon} name="arrow" /><${Tag} decision=${row.becomes} /></span>
      <span class="tile-name">${partName(row)}</span><span class="soft">${t("gauge.score")} ${figure(row.score)}</span></span></button></li>`;
}
