// What people have confirmed so far, and the form that asks for new thresholds from it.
import { html, useState } from "../vendor/htm-preact.js";
import { number, percent, t } from "../i18n.js";

const RATES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05];

export function Confirmed({ summary }) {
  const bad = summary.defects;
  return html`<section class="card"><h2>${t("teach.confirmed")}</h2>
    <div class="figures">
      <div><b>${number(summary.good.parts)}</b><span>${t("teach.confirmed.good")}</span></div>
      <div><b>${number(sum(bad.map((one) => one.parts)))}</b><span>${t("teach.confirmed.defect")}</span></div>
    </div>
    ${bad.length > 0 && html`<table class="table"><thead><tr><th>${t("teach.class")}</th><th class="num">${t("teach.parts")}</th><th class="num">${t("teach.found")}</th></tr></thead>
      <tbody>${bad.map((one) => html`<tr key=${one.class ?? ""}><td>${one.class ?? t("class.none")}</td><td class="num">${number(one.parts)}</td>
        <td class="num">${percent(one.detection_rate, 0)}</td></tr>`)}</tbody></table>`}
    <p class="soft small">${t("teach.confirmed.words")}</p>
  </section>`;
}

export function ProposeForm({ detail, running, onPropose }) {
  const now = detail?.threshold?.rate_asked;
  const [rate, setRate] = useState(null);
  const [review, setReview] = useState(null);
  const chosen = rate ?? now ?? 0.01;
  const submit = (event) => {
    event.preventDefault();
    onPropose({ max_false_reject: chosen, ...(review ? { review_rate: review } : {}) });
  };
  const options = [...new Set([...RATES, ...(now ? [now] : [])])].sort((one, other) => one - other);
  return html`<form class="card propose" onSubmit=${submit}>
    <h2>${t("teach.propose.title")}</h2>
    <label class="field"><span>${t("teach.rate")}</span>
      <select value=${chosen} onChange=${(event) => setRate(Number(event.target.value))}>
        ${options.map((value) => html`<option key=${value} value=${value} selected=${value === chosen}>${percent(value)}${value === now ? ` (${t("teach.as_now")})` : ""}</option>`)}</select></label>
    <label class="field"><span>${t("teach.review_rate")}</span>
      <select value=${review ?? ""} onChange=${(event) => setReview(Number(event.target.value) || null)}>
        <option value="">${t("teach.as_now")}</option>
        ${RATES.map((value) => value * 5).filter((value) => value > chosen).map((value) => html`<option key=${value} value=${value}>${percent(value)}</option>`)}</select></label>
    <p class="soft small">${t("teach.propose.words")}</p>
    <button class="button main wide" disabled=${running}>${running ? t("teach.running") : t("teach.propose")}</button>
  </form>`;
}

const sum = (values) => values.reduce((total, value) => total + value, 0);
