// Teach: new thresholds from parts that people have confirmed, looked at before they are applied, and a way back.
import { html, useState } from "../vendor/htm-preact.js";
import { get, post } from "../api.js";
import { t } from "../i18n.js";
import { useEvery, useLoaded } from "../loading.js";
import { may } from "../session.js";
import { failed, notify } from "../parts/notices.js";
import { Confirm } from "../parts/dialog.js";
import { Empty, Loaded } from "../parts/states.js";
import { Proposal, ProposalRow } from "../parts/proposal.js";
import { Confirmed, ProposeForm } from "../parts/propose.js";
import { OfProduct } from "../parts/of_product.js";

const WATCH_MS = 1500;

export const TeachView = () => html`<${OfProduct} view=${Teach} />`;

function Teach({ name }) {
  const base = `products/${encodeURIComponent(name)}`;
  const list = useLoaded(async () => (await get(`${base}/recalibrations`)).recalibrations, [name]);
  const detail = useLoaded(() => get(base), [name]);
  const summary = useLoaded(() => get("reviews/summary", { product: name }), [name]);
  const [chosen, setChosen] = useState(null);
  const [asking, setAsking] = useState(null);
  const running = list.data?.some((one) => one.state === "running");
  useEvery(WATCH_MS, list.again, Boolean(running));
  const act = async (path, words) => {
    try {
      const found = await post(path);
      notify("done", words(found));
    } catch (error) {
      failed(error);
    }
    list.again();
    detail.again();
  };
  const propose = async (body) => {
    try {
      const found = await post(`${base}/recalibrations`, body);
      setChosen(found.id);
    } catch (error) {
      failed(error);
    }
    list.again();
  };
  const shown = list.data?.find((one) => one.id === chosen) ?? list.data?.[0];
  const apply = () => act(`${base}/recalibrations/${shown.id}/apply`, (found) => t("teach.applied", { version: found.to_version ?? "" }));
  const rollBack = () => act(`admin/products/${encodeURIComponent(name)}/rollback`, (found) => t("teach.rolled_back", { version: found.version }));
  return html`<div class="teach">
    <div class="teach-side">
      <${Loaded} of=${summary}>${(found) => html`<${Confirmed} summary=${found} />`}</${Loaded}>
      ${may("review") && html`<${ProposeForm} detail=${detail.data} running=${Boolean(running)} onPropose=${propose} />`}
      ${list.data?.length > 0 && html`<section class="card"><h2>${t("teach.before")}</h2>
        <ul class="proposals">${list.data.map((one) => html`<${ProposalRow} key=${one.id} one=${one} here=${one.id === shown?.id} onChoose=${() => setChosen(one.id)} />`)}</ul></section>`}
    </div>
    <${Loaded} of=${list}>${(found) => (found.length === 0
      ? html`<section class="card"><${Empty} icon="teach" title=${t("teach.empty")}>${t("teach.empty.words")}</${Empty}></section>`
      : html`<${Proposal} key=${shown.id} one=${shown} admin=${may("admin")} onApply=${() => setAsking("apply")}
          onRollBack=${detail.data?.previous ? () => setAsking("rollback") : null} onAgain=${may("review") ? propose : null} />`)}</${Loaded}>
    ${asking === "apply" && html`<${Confirm} title=${t("teach.apply.title")} words=${t("teach.apply.words", { name })} action=${t("teach.apply")}
      onConfirm=${apply} onClose=${() => setAsking(null)} />`}
    ${asking === "rollback" && html`<${Confirm} title=${t("teach.rollback.title")} words=${t("teach.rollback.words", { name, version: detail.data.previous })}
      action=${t("teach.rollback")} danger onConfirm=${rollBack} onClose=${() => setAsking(null)} />`}
  </div>`;
}
