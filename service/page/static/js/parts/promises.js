// The thresholds of an artifact: above which score, at which rate asked and promised, and where they come from.
import { html } from "../vendor/htm-preact.js";
import { figure, percent, t } from "../i18n.js";
import { Sign } from "./sign.js";

export function Promises({ of }) {
  const rows = [["NG", of.threshold], ["REVIEW", of.review_threshold]].filter(([, one]) => one);
  return html`<table class="table"><thead><tr><th>${t("product.threshold")}</th><th class="num">${t("product.value")}</th><th class="num">${t("product.asked")}</th>
      <th class="num">${t("product.promised")}</th><th class="wide-only">${t("product.origin")}</th></tr></thead>
    <tbody>${rows.map(([name, one]) => html`<tr key=${name}><th scope="row"><${Sign} decision=${name} />${name}</th><td class="num strong">${figure(one.value)}</td>
      <td class="num">${percent(one.rate_asked)}</td><td class="num">${percent(one.rate_promised)}</td><td class="soft wide-only">${one.origin}</td></tr>`)}</tbody></table>`;
}
