// Dialogs over the page: the browser's own, which keeps the focus inside and closes on Escape.
import { html, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { t } from "../i18n.js";
import { Icon } from "./icons.js";

export function Dialog({ title, onClose, children, keys = false }) {
  const box = useRef(null);
  useLayoutEffect(() => { // at once with what is shown, so that no key goes to the page behind it
    box.current.showModal();
    return () => box.current?.close();
  }, []);
  return html`<dialog ref=${box} class="dialog" aria-label=${title} data-keys=${keys || undefined} onClose=${onClose}
    onClick=${(event) => event.target === box.current && onClose()}>
    <div class="dialog-box" tabindex="-1" autofocus>
      <header><h2>${title}</h2>
        <button class="button quiet square" aria-label=${t("close")} onClick=${onClose}><${Icon} name="close" /></button></header>
      ${children}
    </div>
  </dialog>`;
}

// A question before something that changes what the line does. The words say what will happen, the button repeats it.
export function Confirm({ title, words, action, danger, onConfirm, onClose }) {
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    try {
      await onConfirm();
    } finally {
      onClose();
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <p class="words">${words}</p>
    <div class="buttons">
      <button class="button" onClick=${onClose}>${t("cancel")}</button>
      <button class="button ${danger ? "danger" : "main"}" disabled=${busy} onClick=${run}>${action}</button>
    </div>
  </${Dialog}>`;
}
