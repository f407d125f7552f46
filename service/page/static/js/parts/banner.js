// The banner that says when what is shown cannot be trusted: no connection, not ready, drift, or nothing being kept.
import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { clock, t } from "../i18n.js";
import { useStore } from "../store.js";
import { stream } from "../stream.js";
import { linkTo } from "../router.js";
import { Icon } from "./icons.js";

const CUT_AFTER_MS = 3000; // a moment without connection is no news
const FIRST_TRY_MS = 8000;

export function useTrust() {
  const now = useStore(stream);
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  const away = Date.now() - now.since;
  const cut = (now.status === "cut" && away > CUT_AFTER_MS) || (now.status === "connecting" && away > FIRST_TRY_MS);
  const server = now.server;
  return { cut, since: now.since, unready: server && !server.ready ? server.reason || "" : null, drift: server?.drift ?? [], feedback: server?.feedback };
}

export function Banner({ trust }) {
  const rows = [];
  if (trust.cut) rows.push(["ng", "cut", t("banner.cut"), t("banner.cut.words", { time: clock(trust.since) })]);
  if (trust.unready !== null) rows.push(["ng", "warn", t("banner.unready"), trust.unready || t("banner.unready.words")]);
  for (const one of trust.drift) rows.push(["review", "warn", t("banner.drift", { product: one.product }), driftWords(one), one.product]);
  if (trust.feedback && !trust.feedback.ok) rows.push(["note", "warn", t("banner.feedback"), trust.feedback.reason || ""]);
  return html`<div class="banners" role="alert">
    ${rows.map(([kind, icon, title, words, product]) => html`<div key=${title} class="banner banner-${kind}">
      <${Icon} name=${icon} /><p><strong>${title}</strong> ${words}</p>
      ${product && html`<a class="button small" href=${linkTo("products", product)}>${t("banner.look")}</a>`}</div>`)}
  </div>`;
}

const driftWords = (one) => one.words || (one.watches ?? []).map((watch) => `${watch.watched} ${watch.towards ?? ""}`).join(", ");
