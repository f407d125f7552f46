// One product: versions, thresholds with their promises, doubts, drift; load, activate, roll back, take out of service.
import { html, useState } from "../vendor/htm-preact.js";
import { get, post } from "../api.js";
import { figure, percent, t } from "../i18n.js";
import { useLoaded } from "../loading.js";
import { may } from "../session.js";
import { Confirm } from "./dialog.js";
import { Drift } from "./drift.js";
import { Icon } from "./icons.js";
import { failed, notify } from "./notices.js";
import { Sign } from "./sign.js";
import { Loaded } from "./states.js";
import { TrainingList } from "./training_list.js";

export function ProductDetail({ name, onChanged }) {
  const base = `products/${encodeURIComponent(name)}`;
  const detail = useLoaded(() => get(base), [name]);
  const drift = useLoaded(() => get(`${base}/drift`), [name]);
  const [asking, setAsking] = useState(null);
  const act = async ({ action, body }) => {
    try {
      const found = await post(`admin/${base}/${action}`, body);
      notify("done", t(`product.${action}.done`, { name, version: found.version ?? "–" }));
    } catch (error) {
      failed(error);
    }
    detail.again();
    drift.again();
    onChanged();
  };
  const ask = (action, version) => setAsking({ action, version, body: version ? { version } : undefined });
  return html`<${Loaded} of=${detail}>${(found) => html`<div class="product">
    <header class="product-head"><h2>${found.name}</h2><span class="product-state product-${found.state}">${t(`product.state.${found.state}`)}</span></header>
    <${Doubts} found=${found} />
    <section class="card"><h3>${t("product.promise")}</h3><${Promises} found=${found} /></section>
    <section class="card"><h3>${t("product.versions")}</h3><${Versions} found=${found} onAsk=${ask} /></section>
    <${Loaded} of=${drift}>${(seen) => html`<${Drift} seen=${seen} onReset=${may("admin") ? () => ask("drift/reset") : null} />`}</${Loaded}>
    ${may("admin") && html`<${TrainingList} name=${name} onDone=${onChanged} />`}
    ${asking && html`<${Confirm} title=${t(`product.${asking.action}`)} words=${t(`product.${asking.action}.words`, { name, version: asking.version ?? found.previous ?? "–" })}
      action=${t(`product.${asking.action}`)} danger=${asking.action === "unload" || asking.action === "rollback"} onConfirm=${() => act(asking)} onClose=${() => setAsking(null)} />`}
  </div>`}</${Loaded}>`;
}

function Doubts({ found }) {
  const rows = [...found.doubts, ...Object.entries(found.problems).map(([version, why]) => t("product.refused", { version, why })), ...(found.note ? [found.note] : [])];
  return rows.map((words) => html`<p key=${words} class="banner banner-review"><${Icon} name="warn" /><span>${words}</span></p>`);
}

function Promises({ found }) {
  const rows = [["NG", found.threshold], ["REVIEW", found.review_threshold]].filter(([, one]) => one);
  if (!rows.length) return html`<p class="soft">${t("product.no_promise")}</p>`;
  return html`<table class="table"><thead><tr><th>${t("product.threshold")}</th><th class="num">${t("product.value")}</th><th class="num">${t("product.asked")}</th>
      <th class="num">${t("product.promised")}</th><th class="wide-only">${t("product.origin")}</th></tr></thead>
    <tbody>${rows.map(([name, one]) => html`<tr key=${name}><th scope="row"><${Sign} decision=${name} />${name}</th><td class="num strong">${figure(one.value)}</td>
      <td class="num">${percent(one.rate_asked)}</td><td class="num">${percent(one.rate_promised)}</td><td class="soft wide-only">${one.origin}</td></tr>`)}</tbody></table>
    <p class="soft small">${t("product.calibration", { count: found.calibration_images, smallest: percent(found.smallest_false_reject) })}</p>
    <dl class="facts facts-row"><div><dt>${t("product.method")}</dt><dd>${found.method}</dd></div><div><dt>${t("product.size")}</dt><dd>${found.image_size} px</dd></div>
      <div><dt>${t("product.hash")}</dt><dd class="code">${found.hash?.slice(0, 12)}</dd></div></dl>`;
}

function Versions({ found, onAsk }) {
  const admin = may("admin");
  const versions = [...new Set([...found.versions, ...(found.version ? [found.version] : [])])].reverse();
  return html`<ul class="versions">${versions.map((version) => html`<li key=${version}>
      <span class="version-name"><b>${version}</b>${version === found.version && html`<span class="state-tag state-tag-applied"><${Icon} name="review" />${t("product.active")}</span>`}
        ${version === found.pinned && html`<span class="state-tag">${t("product.pinned")}</span>`}${version === found.previous && html`<span class="state-tag">${t("product.previous")}</span>`}</span>
      ${admin && version !== found.version && html`<button class="button small" onClick=${() => onAsk("activate", version)}>${t("product.activate")}</button>`}</li>`)}</ul>
    ${admin && html`<div class="buttons">
      <button class="button" onClick=${() => onAsk("load")}>${t("product.load")}</button>
      <button class="button" disabled=${!found.previous} onClick=${() => onAsk("rollback")}>${t("product.rollback")}</button>
      ${found.pinned && html`<button class="button" onClick=${() => onAsk("unpin")}>${t("product.unpin")}</button>`}
      <button class="button danger" disabled=${found.state === "unloaded"} onClick=${() => onAsk("unload")}>${t("product.unload")}</button></div>`}`;
}
