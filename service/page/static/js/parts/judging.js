// The three answers that a person can give of a part, and what others have said of it.
import { html } from "../vendor/htm-preact.js";
import { dateTime, t } from "../i18n.js";
import { Icon } from "./icons.js";

const MARKS = {
  good: html`<svg viewBox="0 0 24 24" class="icon" aria-hidden="true"><path d="M4 13l5 5L20 6" /></svg>`,
  defect: html`<svg viewBox="0 0 24 24" class="icon" aria-hidden="true"><path d="M5 5l14 14M19 5L5 19" /></svg>`,
  unsure: html`<svg viewBox="0 0 24 24" class="icon" aria-hidden="true"><path d="M8 8a4 4 0 118 0c0 3-4 3-4 7M12 19v.5" /></svg>`,
};

export function Judging({ allowed, onJudge, onDefect, onUndo }) {
  if (!allowed) return html`<p class="card note"><${Icon} name="lock" />${t("review.forbidden")}</p>`;
  const answers = [["good", "G", () => onJudge("good")], ["defect", "D", onDefect], ["unsure", "U", () => onJudge("unsure")]];
  return html`<div class="judging">
    ${answers.map(([label, key, run]) => html`<button key=${label} class="judge judge-${label}" onClick=${run}>
      ${MARKS[label]}<span>${t(`label.${label}`)}</span><kbd aria-hidden="true">${key}</kbd></button>`)}
    <button class="button undo" disabled=${!onUndo} onClick=${onUndo}><${Icon} name="undo" />${t("undo")}<kbd aria-hidden="true">Z</kbd></button>
  </div>`;
}

export function Judgements({ reviews }) {
  const standing = reviews.filter((one) => !one.withdrawn_at);
  if (!standing.length) return null;
  const split = new Set(standing.map((one) => one.label).filter((label) => label !== "unsure")).size > 1;
  return html`<section class="card judgements" aria-label=${t("review.said")}>
    <h2>${split ? html`<${Icon} name="warn" />${t("review.split")}` : t("review.said")}</h2>
    <ul>${standing.map((one) => html`<li key=${one.id} class="said-${one.label}">${MARKS[one.label]}
      <span><b>${t(`label.${one.label}`)}</b>${one.class ? ` · ${one.class}` : ""}${one.note ? html`<br />${one.note}` : ""}</span>
      <span class="soft">${one.by} · ${dateTime(one.at)}</span></li>`)}</ul>
  </section>`;
}
