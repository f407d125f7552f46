// Language, light or dark, the keys, and who is logged in.
import { html } from "../vendor/htm-preact.js";
import { language, languages, t } from "../i18n.js";
import { shortcuts } from "../keys.js";
import { logOut, session } from "../session.js";
import { useStore } from "../store.js";
import { theme } from "../theme.js";
import { Dialog } from "./dialog.js";
import { failed } from "./notices.js";

const NAMES = new Map(languages.map((tag) => [tag, new Intl.DisplayNames([tag], { type: "language" }).of(tag)]));
const KEYS = [
  ["1 … 6", "keys.views"],
  ["G", "keys.good"],
  ["D", "keys.defect"],
  ["U", "keys.unsure"],
  ["Z", "keys.undo"],
  ["← →", "keys.move"],
  ["M", "keys.map"],
  ["Esc", "keys.newest"],
  ["?", "keys.help"],
];

export function Settings({ onClose }) {
  const who = useStore(session);
  const on = useStore(shortcuts);
  return html`<${Dialog} title=${t("menu")} onClose=${onClose}>
    <div class="settings">
      <${Choice} label=${t("settings.language")} value=${document.documentElement.lang} onChoose=${(tag) => language.set(tag)}
        options=${[...NAMES].map(([tag, name]) => [tag, name])} />
      <${Choice} label=${t("settings.theme")} value=${useStore(theme)} onChoose=${(name) => theme.set(name)}
        options=${["auto", "light", "dark"].map((name) => [name, t(`theme.${name}`)])} />
      <section><h3>${t("settings.keys")}</h3>
        <label class="check"><input type="checkbox" checked=${on} onChange=${(event) => shortcuts.set(event.target.checked)} />${t("settings.keys.on")}</label>
        <dl class="keys">${KEYS.map(([key, words]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${t(words)}</dd></div>`)}</dl></section>
      <section><h3>${t("settings.session")}</h3>
        <p>${who.keysNeeded ? t("settings.session.words", { name: who.name, scopes: who.scopes.join(", ") }) : t("settings.session.open")}</p>
        ${who.keysNeeded && html`<button class="button" onClick=${() => logOut().catch(failed)}>${t("log_out")}</button>`}</section>
    </div>
  </${Dialog}>`;
}

export function Choice({ label, value, options, onChoose }) {
  return html`<fieldset class="choice"><legend>${label}</legend>
    <div class="choice-row">${options.map(([name, words]) => html`<label key=${name} class=${name === value ? "chosen" : ""}>
      <input type="radio" name=${label} value=${name} checked=${name === value} onChange=${() => onChoose(name)} />${words}</label>`)}</div></fieldset>`;
}
