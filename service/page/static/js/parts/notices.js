// Short notices at the foot of the page: what was done, with a way back, or why it was not.
import { html } from "../vendor/htm-preact.js";
import { t } from "../i18n.js";
import { createStore, useStore } from "../store.js";
import { Icon } from "./icons.js";

const LASTS_MS = { done: 6000, failed: 15000 };
const notices = createStore([]);
let count = 0;

export function notify(kind, text, undo) {
  const notice = { id: ++count, kind, text, undo };
  notices.set((before) => [...before.slice(-1), notice]);
  setTimeout(() => dismiss(notice.id), LASTS_MS[kind]);
}

export const failed = (error) => notify("failed", `${error.message} (${error.code})`);

const dismiss = (id) => notices.set((before) => before.filter((one) => one.id !== id));

export function Notices() {
  const shown = useStore(notices);
  return html`<div class="notices" role="status" aria-live="polite">
    ${shown.map(
      (one) => html`<div key=${one.id} class="notice notice-${one.kind}">
        <${Icon} name=${one.kind === "failed" ? "warn" : "review"} /><p>${one.text}</p>
        ${one.undo && html`<button class="button small" onClick=${() => (dismiss(one.id), one.undo())}>${t("undo")}</button>`}
        <button class="button quiet square small" aria-label=${t("close")} onClick=${() => dismiss(one.id)}><${Icon} name="close" /></button>
      </div>`,
    )}
  </div>`;
}
