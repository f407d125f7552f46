// One proposed recalibration: what would change, what the parts held back say, what becomes of known defects; or why not.
import { html } from "../vendor/htm-preact.js";
import { dateTime, figure, number, percent, t } from "../i18n.js";
import { Icon } from "./icons.js";
import { Sign } from "./sign.js";

const ICONS = { ready: "review", refused: "warn", failed: "warn", applied: "teach", running: "live" };

export const StateTag = ({ state }) => html`<span class="state-tag state-tag-${state}"><${Icon} name=${ICONS[state]} />${t(`teach.state.${state}`)}</span>`;

export function ProposalRow({ one, here, onChoose }) {
  return html`<li><button class="proposal-row ${here ? "chosen" : ""}" aria-current=${here} onClick=${onChoose}>
    <${StateTag} state=${one.state} /><span class="soft">${dateTime(one.at)}${one.by ? ` · ${one.by}` : ""}</span></button></li>`;
}

export function Proposal({ one, admin, onApply, onRollBack, onAgain }) {
  const suggestion = one.suggested && windowWords(one.suggested);
  return html`<article class="card proposal" data-testid="proposal">
    <header class="card-head"><h2>${t("teach.proposal", { version: one.from_version ?? "" })}</h2><span class="card-side"><${StateTag} state=${one.state} /><${Actions} one=${one} admin=${admin} onApply=${onApply} onRollBack=${onRollBack} /></span></header>
    ${one.state === "applied" && html`<p class="words">${t("teach.applied", { version: one.to_version ?? "" })}</p>`}
    ${one.reason && html`<p class="words why-not">${one.reason}</p>`}
    ${suggestion && onAgain && html`<div><button class="button" onClick=${() => onAgain(one.suggested)}>${suggestion}</button></div>`}
    ${one.state === "running" && html`<div class="state" role="status"><span class="spinner"></span><p>${t("teach.running.words")}</p></div>`}
    ${one.before && one.after && html`<${Thresholds} one=${one} />`}
    <div class="proposal-columns">
      ${one.changed && html`<${Changed} changed=${one.changed} />`}
      ${one.held_back && html`<${HeldBack} held=${one.held_back} promised=${one.rate_promised} />`}
    </div>
    ${one.parts && html`<${Parts} parts=${one.parts} />`}
    ${one.misses && Object.keys(one.misses).length > 0 && html`<${Misses} misses=${one.misses} />`}
  </article>`;
}

function windowWords({ since, until }) {
  if (since && until) return t("teach.suggested", { since: dateTime(since), until: dateTime(until) });
  if (since) return t("teach.suggested.since", { since: dateTime(since) });
  return until ? t("teach.suggested.until", { until: dateTime(until) }) : null;
}

function Actions({ one, admin, onApply, onRollBack }) {
  if (one.state === "ready" && !admin) return html`<p class="note"><${Icon} name="lock" />${t("teach.apply.forbidden")}</p>`;
  if (one.state === "ready") return html`<button class="button main" onClick=${onApply}>${t("teach.apply")}</button>`;
  if (one.state === "applied" && admin && onRollBack) return html`<button class="button danger" onClick=${onRollBack}>${t("teach.rollback")}</button>`;
  return null;
}

function Thresholds({ one }) {
  const row = (name, before, after, promised) => after !== null && html`<tr key=${name}><th scope="row"><${Sign} decision=${name} />${name}</th>
    <td class="num">${figure(before)}</td><td class="arrow"><${Icon} name="arrow" /></td><td class="num strong">${figure(after)}</td>
    <td class="num">${percent(promised)}</td></tr>`;
  return html`<table class="table thresholds"><thead><tr><th>${t("teach.from")}</th><th class="num">${t("teach.now")}</th><th></th>
    <th class="num">${t("teach.then")}</th><th class="num">${t("teach.promised")}</th></tr></thead>
    <tbody>${row("NG", one.before.ng, one.after.ng, one.rate_promised)}${row("REVIEW", one.before.review, one.after.review, one.review_rate_promised)}</tbody></table>`;
}

function Changed({ changed }) {
  const total = changed.now_ok + changed.now_review + changed.now_ng;
  return html`<section><h3>${t("teach.changed", { count: total })}</h3>
    <div class="becomes">${[["OK", changed.now_ok], ["REVIEW", changed.now_review], ["NG", changed.now_ng]].map(([name, count]) =>
      html`<div key=${name}><${Sign} decision=${name} /><b>${number(count)}</b><span>${t("teach.becomes", { decision: name })}</span></div>`)}</div></section>`;
}

// The parts that chose nothing: how many of them would be rejected, and the interval in which the rate then lies.
function HeldBack({ held, promised }) {
  const [low, high] = held.interval;
  const top = Math.max(high, promised) * 1.1;
  const at = (share) => `${Math.min(100, (100 * share) / top)}%`;
  return html`<section><h3>${t("teach.held_back", { count: held.parts })}</h3>
    <p>${t("teach.held_back.words", { before: held.rejected_before, after: held.rejected_after })}</p>
    <div class="interval" role="img" aria-label=${t("teach.interval", { low: percent(low), high: percent(high), promised: percent(promised) })}>
      <i class="interval-range" style=${{ left: at(low), width: `calc(${at(high)} - ${at(low)})` }}></i>
      <i class="interval-promise" style=${{ left: at(promised) }}></i></div>
    <p class="soft small">${t("teach.interval", { low: percent(low), high: percent(high), promised: percent(promised) })}</p></section>`;
}

function Parts({ parts }) {
  const shown = ["inspected", "confirmed", "used", "held_back", "effective"];
  return html`<dl class="part-counts">${shown.map((name) => html`<div key=${name}><dt>${t(`teach.parts.${name}`)}</dt><dd>${number(Math.round(parts[name]))}</dd></div>`)}</dl>`;
}

function Misses({ misses }) {
  return html`<section><h3>${t("teach.misses")}</h3><table class="table"><thead><tr><th>${t("teach.class")}</th><th class="num">${t("teach.parts")}</th>
    <th class="num">${t("teach.missed_now")}</th><th class="num">${t("teach.missed_then")}</th></tr></thead><tbody>
    ${Object.entries(misses).map(([name, one]) => html`<tr key=${name} class=${one.after > one.before ? "worse" : ""}><td>${name}</td><td class="num">${number(one.parts)}</td>
      <td class="num">${number(one.before)}</td><td class="num strong">${number(one.after)}${one.after > one.before ? ` ${t("teach.worse", { count: one.after - one.before })}` : ""}</td></tr>`)}</tbody></table>
    <p class="soft small">${t("teach.misses.words")}</p></section>`;
}
