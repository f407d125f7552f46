// Recurring defects: parts whose strongest regions are alike, with their pictures cropped on the region, and a name for each group.
import { html, useState } from "../vendor/htm-preact.js";
import { get, post } from "../api.js";
import { clock, percent, t } from "../i18n.js";
import { useEvents, useEvery, useLoaded } from "../loading.js";
import { may } from "../session.js";
import { keptStore, useStore } from "../store.js";
import { Dialog } from "../parts/dialog.js";
import { Icon } from "../parts/icons.js";
import { failed, notify } from "../parts/notices.js";
import { Picture, pictureOf } from "../parts/picture.js";
import { Choice } from "../parts/settings.js";
import { Empty, Loaded } from "../parts/states.js";
import { Facts, Gauge, partName } from "../parts/verdict.js";
import { OfProduct } from "../parts/of_product.js";

const WATCH_MS = 3000;
const MARGIN = 1.5;
const SMALLEST = 0.125; // of the picture's shorter side, as the service cuts it
const days = keptStore("defects", "7");

export const DefectsView = () => html`<${OfProduct} view=${Defects} />`;

function Defects({ name }) {
  const span = useStore(days);
  const base = `products/${encodeURIComponent(name)}/defect-groups`;
  const since = () => new Date(Date.now() - Number(span) * 86400e3).toISOString();
  const groups = useLoaded(() => get(base, { since: since() }), [name, span]);
  const [open, setOpen] = useState(null);
  useEvery(WATCH_MS, groups.again, Boolean(groups.data?.work.waiting));
  useEvents((kind, data) => kind === "review" && data.product === name && groups.again());
  const call = async (group, text) => {
    try {
      await post(`${base}/${group.id}/name`, { name: text || null });
      notify("done", text ? t("defects.named", { name: text }) : t("defects.unnamed"));
    } catch (error) {
      failed(error);
    }
    groups.again();
  };
  return html`<div class="defects">
    <${Choice} label=${t("defects.span")} value=${span} onChoose=${(value) => days.set(value)}
      options=${[["1", "day"], ["7", "week"], ["30", "month"]].map(([value, key]) => [value, t(`what_if.${key}`)])} />
    <${Loaded} of=${groups}>${(found) => html`<p class="soft" role="status">${progress(found)}</p>
      ${found.groups.length === 0 ? html`<section class="card"><${Empty} icon="defects" title=${t("defects.empty")}>${t("defects.empty.words")}</${Empty}></section>`
        : found.groups.map((group) => html`<${Group} key=${group.id} group=${group} onName=${(text) => call(group, text)} onOpen=${setOpen} />`)}`}</${Loaded}>
    ${open && html`<${Dialog} title=${partName(open)} onClose=${() => setOpen(null)}><${Picture} row=${open} /><${Gauge} row=${open} /><${Facts} row=${open} /></${Dialog}>`}
  </div>`;
}

function progress({ work, alone, undescribed }) {
  const left = Object.values(undescribed).reduce((sum, count) => sum + count, 0);
  return [
    work.trouble ? t("defects.trouble", { words: work.trouble }) : work.waiting > 0 ? t("defects.waiting", { count: work.waiting }) : "",
    alone > 0 ? t("defects.alone", { count: alone }) : "",
    left > 0 ? t("defects.undescribed", { count: left }) : "",
  ].filter(Boolean).join(" ");
}

function Group({ group, onName, onOpen }) {
  const [text, setText] = useState(group.name ?? "");
  const enter = (event) => {
    event.preventDefault();
    onName(text.trim());
  };
  const title = group.name ?? t("defects.no_name", { id: group.id });
  return html`<section class="card defect-group" data-testid="group">
    <div class="card-head"><h2>${title}</h2>
      <p><b>${t("defects.parts", { count: group.parts })}</b> <span class="soft">${t("defects.share", { share: percent(group.share, 1) })}</span></p></div>
    ${may("review") && html`<form class="class-new" onSubmit=${enter}><label class="field"><span>${t("defects.name")}</span>
      <input value=${text} maxlength="64" autocomplete="off" onInput=${(event) => setText(event.target.value)} /></label>
      <button class="button" disabled=${text.trim() === (group.name ?? "")}>${t("defects.save")}</button></form>`}
    ${group.named_by && group.name && html`<p class="soft">${t("defects.named_by", { by: group.named_by, at: clock(group.named_at) })}</p>`}
    ${group.members.length > 0 && html`<ul class="tiles crops">${group.members.map((row) => html`<${Crop} key=${row.id} row=${row} onOpen=${() => onOpen(row)} />`)}</ul>`}
  </section>`;
}

function Crop({ row, onOpen }) {
  return html`<li><button class="tile" onClick=${onOpen}>
    ${row.picture ? html`<svg class="crop" viewBox=${around(row)} aria-hidden="true"><image href=${pictureOf(row)} width=${row.width} height=${row.height} preserveAspectRatio="none" /></svg>`
      : html`<span class="tile-none"><${Icon} name="picture" /></span>`}
    <span class="tile-words"><span class="tile-name">${partName(row)}</span><span class="soft">${clock(row.at)}</span></span></button></li>`;
}

function around({ box: [x, y, width, height], width: whole, height: high }) {
  const shorter = Math.min(whole, high);
  const side = Math.min(shorter, Math.max(MARGIN * Math.max(width, height), SMALLEST * shorter));
  const left = Math.min(Math.max(0, x + (width - side) / 2), whole - side);
  const top = Math.min(Math.max(0, y + (height - side) / 2), high - side);
  return `${left} ${top} ${side} ${side}`;
}
