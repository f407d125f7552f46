// What stands where there is nothing to show: loading, empty, failed, or not allowed; each says what to do next.
import { html } from "../vendor/htm-preact.js";
import { passes } from "../backoff.js";
import { t } from "../i18n.js";
import { session } from "../session.js";
import { useStore } from "../store.js";
import { Icon } from "./icons.js";

export const Loading = () => html`<div class="state" role="status"><span class="spinner"></span><p>${t("state.loading")}</p></div>`;

export function Empty({ icon = "picture", title, children }) {
  return html`<div class="state"><${Icon} name=${icon} /><h2>${title}</h2><p>${children}</p></div>`;
}

export function Failed({ error, again }) {
  const known = { feedback_off: "error.feedback_off", no_answer: "error.no_answer", forbidden: "error.forbidden" }[error.code];
  return html`<div class="state state-failed" role="alert">
    <${Icon} name=${error.code === "forbidden" ? "lock" : "warn"} />
    <h2>${known ? t(known) : t("error.title")}</h2>
    <p>${error.message}</p>
    ${passes(error) && html`<p>${t("state.trying")}</p>`}
    <p class="soft code">${error.code}</p>
    ${again && html`<button class="button" onClick=${again}>${t("state.again")}</button>`}
  </div>`;
}

// One of them, or the view itself once something is there. What was read before stays while it is read anew.
export function Loaded({ of, children }) {
  if (of.data !== null) return children(of.data);
  if (of.state === "failed") return html`<${Failed} error=${of.error} again=${of.again} />`;
  return html`<${Loading} />`;
}

export function Guard({ scope, children }) {
  const who = useStore(session);
  if (who.scopes.includes(scope)) return children;
  return html`<div class="state"><${Icon} name="lock" /><h2>${t("forbidden.title")}</h2>
    <p>${t("forbidden.words", { name: who.name ?? "–", scope })}</p></div>`;
}
