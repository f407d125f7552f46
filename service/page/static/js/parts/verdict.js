// The decision in letters that are read from two metres, and the score against its thresholds.
import { html } from "../vendor/htm-preact.js";
import { clock, figure, percent, t } from "../i18n.js";
import { Sign } from "./sign.js";

export function VerdictBlock({ row, stale, note }) {
  const decision = row ? row.decision : "NONE";
  return html`<section class="verdict verdict-${decision} ${stale ? "verdict-stale" : ""}" aria-label=${t("live.last")}>
    <${Sign} decision=${decision} />
    <div class="verdict-words">
      <p class="verdict-word ${decision === "REVIEW" ? "" : "verdict-short"}" data-testid="decision">${row ? row.decision : t("live.none")}</p>
      <p class="verdict-part">${row ? partName(row) : t("live.none.words")}</p>
      ${row && html`<p class="verdict-time">${note ?? clock(row.at)}</p>`}
    </div>
  </section>`;
}

export const partName = (row) => row.part_id || row.filename || `#${row.id}`;

// A ruler from 0 to a little over the threshold: OK, REVIEW and NG are its parts, the score is the pointer.
export function Gauge({ row }) {
  const review = row.review_threshold ?? row.threshold;
  const low = Math.min(0, row.score);
  const high = Math.max(row.threshold + (row.threshold - low) * 0.6, row.score * 1.05);
  const at = (value) => (100 * (value - low)) / (high - low);
  const text = t("gauge.words", { score: figure(row.score), threshold: figure(row.threshold), p: percent(row.p_value) });
  return html`<figure class="gauge" role="img" aria-label=${text}>
    <div class="gauge-numbers"><span class="gauge-score">${figure(row.score)}</span>
      <span class="soft">${t("gauge.threshold")} <b>${figure(row.threshold)}</b></span></div>
    <div class="gauge-bar">
      <span class="gauge-ok" style=${{ width: `${at(review)}%` }}></span>
      ${row.review_threshold !== null && html`<span class="gauge-review" style=${{ width: `${at(row.threshold) - at(review)}%` }}></span>`}
      <span class="gauge-ng"></span>
      <span class="gauge-pointer" style=${{ left: `${Math.min(at(row.score), 100)}%` }}></span>
    </div>
    <div class="gauge-scale"><span>OK</span>
      ${row.review_threshold !== null && html`<span style=${{ left: `${(at(review) + at(row.threshold)) / 2}%` }}>${at(row.threshold) - at(review) > 14 ? "REVIEW" : ""}</span>`}
      <span>NG</span></div>
  </figure>`;
}

export function Facts({ row }) {
  const facts = [
    [t("fact.p_value"), percent(row.p_value)],
    [t("fact.product"), row.product],
    [t("fact.version"), `${row.version} · ${row.method}`],
    [t("fact.station"), [row.line, row.station].filter(Boolean).join(" / ")],
    [t("fact.decided_by"), row.decided_by],
    [t("fact.file"), row.filename],
    [t("fact.resembles"), row.resembles ? row.resembles.name ?? t("defects.no_name", { id: row.resembles.group }) : ""],
    [t("fact.spot_check"), row.spot_check ? t("fact.spot_check.words", { share: percent(row.spot_check_share) }) : ""],
  ];
  return html`<dl class="facts">
    ${facts.filter(([, value]) => value).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}
