// Whether the parts are still like those of the calibration: in words, and the evidence of each watch against its alarm.
import { html } from "../vendor/htm-preact.js";
import { dateTime, figure, t } from "../i18n.js";
import { Icon } from "./icons.js";

export function Drift({ seen, onReset }) {
  const drifting = seen.state === "drift";
  return html`<section class="card drift"><header class="card-head"><h3>${t("drift.title")}</h3>
      <span class="state-tag ${drifting ? "state-tag-refused" : ""}"><${Icon} name=${drifting ? "warn" : "live"} />${t(`drift.${seen.state.replaceAll(" ", "_")}`)}</span></header>
    <p class="words">${seen.words}</p>
    ${seen.watches.length > 0 && html`<ul class="watches">${seen.watches.map((one) => html`<${Watch} key=${one.watched} one=${one} alarm=${seen.alarm_level} />`)}</ul>`}
    <p class="soft small">${t("drift.parts", { count: seen.parts })}</p>
    ${onReset && seen.state !== "off" && html`<div class="buttons"><button class="button" onClick=${onReset}>${t("product.drift/reset")}</button></div>`}
  </section>`;
}

function Watch({ one, alarm }) {
  const share = Math.max(0, Math.min(1, one.evidence / alarm));
  return html`<li class=${one.drifted ? "drifted" : ""}>
    <span class="watch-name">${t(`watch.${one.watched}`)}</span>
    <span class="meter" role="meter" aria-label=${t("drift.evidence", { watched: t(`watch.${one.watched}`) })} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(share * 100)}><i style=${{ width: `${share * 100}%` }}></i></span>
    <span class="watch-words soft">${one.drifted ? t("drift.towards", { towards: t(`towards.${(one.towards ?? "").replaceAll(" ", "_")}`), since: one.since ? dateTime(one.since) : "–" })
      : t("drift.medians", { calibration: figure(one.calibration_median), recent: figure(one.recent_median) })}</span></li>`;
}
