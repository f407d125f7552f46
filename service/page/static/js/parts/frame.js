// The frame around every view: the way between them, what is looked at, the connection, and who is logged in.
import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { clock, t } from "../i18n.js";
import { useKeys } from "../keys.js";
import { VIEWS, go, linkTo, route } from "../router.js";
import { useStore } from "../store.js";
import { stream } from "../stream.js";
import { product, products, station, stations } from "../place.js";
import { Banner, useTrust } from "./banner.js";
import { Icon } from "./icons.js";
import { Settings } from "./settings.js";
import { waiting } from "../waiting.js";

const DOCUMENT_TITLE = "mkdserve";

export function Frame({ children }) {
  const { view } = useStore(route);
  const [open, setOpen] = useState(false);
  const trust = useTrust();
  const keys = Object.fromEntries(VIEWS.map((name, index) => [String(index + 1), () => go(name)]));
  useKeys({ ...keys, "?": () => setOpen(true) });
  useEffect(() => {
    document.title = `${t(`nav.${view}`)} · ${DOCUMENT_TITLE}`;
  }, [view]);
  return html`<div class="frame">
    <a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), document.getElementById("main").focus())}>${t("skip")}</a>
    <nav class="rail" aria-label=${t("nav.label")}>${VIEWS.map((name, index) => html`<${Way} key=${name} name=${name} digit=${index + 1} here=${view === name} />`)}</nav>
    <header class="top">
      <${Place} view=${view} />
      <${Connection} cut=${trust.cut} />
      <button class="button quiet square" aria-label=${t("menu")} onClick=${() => setOpen(true)}><${Icon} name="menu" /></button>
    </header>
    <${Banner} trust=${trust} />
    <main id="main" tabindex="-1">${children(trust)}</main>
    ${open && html`<${Settings} onClose=${() => setOpen(false)} />`}
  </div>`;
}

function Way({ name, digit, here }) {
  const count = useStore(waiting);
  return html`<a class="way" href=${linkTo(name)} aria-current=${here ? "page" : undefined}>
    <${Icon} name=${name} /><span>${t(`nav.${name}`)}</span><kbd aria-hidden="true">${digit}</kbd>
    ${name === "review" && count > 0 && html`<b class="badge" aria-label=${t("nav.waiting", { count })}>${count > 99 ? "99+" : count}</b>`}
  </a>`;
}

function Place({ view }) {
  const { names } = useStore(products);
  const places = useStore(stations);
  const chosen = useStore(product);
  const here = useStore(station);
  const one = ["teach", "what-if", "defects"].includes(view);
  if (view === "products") return html`<h1 class="top-title">${t("nav.products")}</h1>`;
  return html`<div class="place">
    <h1 class="visually-hidden">${t(`nav.${view}`)}</h1>
    <label class="field-inline"><span>${t("place.product")}</span>
      <select value=${chosen ?? ""} onChange=${(event) => product.set(event.target.value || null)}>
        ${!one && html`<option value="">${t("place.all_products")}</option>`}
        ${names.map((name) => html`<option key=${name} value=${name} selected=${name === chosen}>${name}</option>`)}
      </select></label>
    ${!one && places.length > 0 && html`<label class="field-inline"><span>${t("place.station")}</span>
      <select value=${here ?? ""} onChange=${(event) => station.set(event.target.value || null)}>
        <option value="">${t("place.all_stations")}</option>
        ${places.map((name) => html`<option key=${name} value=${name} selected=${name === here}>${name}</option>`)}
      </select></label>`}
  </div>`;
}

function Connection({ cut }) {
  const { status } = useStore(stream);
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const state = cut ? "cut" : status === "open" ? "open" : "connecting";
  return html`<p class="connection connection-${state}"><i></i><span data-testid="connection">${t(`connection.${state}`)}</span><time>${clock(now)}</time></p>`;
}
