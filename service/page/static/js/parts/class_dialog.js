// Which defect: a digit for one that is known, a new word for another, Enter for none.
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { get } from "../api.js";
import { t } from "../i18n.js";
import { useKeys } from "../keys.js";
import { keptStore } from "../store.js";
import { Dialog } from "./dialog.js";

const known = keptStore("classes", {});
const MOST = 9;

export function ClassDialog({ product, onChoose, onClose }) {
  const [names, setNames] = useState(known.get()[product] ?? []);
  const field = useRef(null);
  useEffect(() => {
    get("reviews/summary", { product })
      .then((found) => setNames((before) => [...new Set([...classesIn(found), ...before])].slice(0, MOST)))
      .catch(() => {}); // without the service's list those of this machine are offered
  }, [product]);
  const choose = (name) => {
    if (name) known.set((before) => ({ ...before, [product]: [name, ...(before[product] ?? []).filter((one) => one !== name)].slice(0, MOST) }));
    onChoose(name);
  };
  useKeys({ ...Object.fromEntries(names.map((name, index) => [String(index + 1), () => choose(name)])), Enter: () => choose(null) });
  const enter = (event) => {
    event.preventDefault();
    choose(field.current.value.trim() || null);
  };
  return html`<${Dialog} title=${t("class.title")} onClose=${onClose} keys>
    <div class="classes">
      ${names.map((name, index) => html`<button key=${name} class="button class-choice" onClick=${() => choose(name)}><kbd>${index + 1}</kbd>${name}</button>`)}
      <button class="button class-choice" onClick=${() => choose(null)}><kbd>↵</kbd>${t("class.none")}</button>
    </div>
    <form class="class-new" onSubmit=${enter}><label class="field"><span>${t("class.new")}</span>
      <input ref=${field} maxlength="64" autocomplete="off" /></label><button class="button main">${t("class.take")}</button></form>
  </${Dialog}>`;
}

function classesIn(summary) {
  return summary.defects.map((one) => one.class).filter(Boolean);
}
