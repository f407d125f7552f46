// Products: what is served, what it promises, whether it has drifted, and what may be done about it.
import { html } from "../vendor/htm-preact.js";
import { get } from "../api.js";
import { t } from "../i18n.js";
import { useEvents, useEvery, useLoaded } from "../loading.js";
import { loadProducts } from "../place.js";
import { go, linkTo } from "../router.js";
import { may } from "../session.js";
import { Icon } from "../parts/icons.js";
import { ProductDetail } from "../parts/product_detail.js";
import { Empty, Loaded } from "../parts/states.js";
import { TrainingView } from "./training.js";

const READ_MS = 10000;
const NEW = "+";

export function ProductsView({ rest: [chosen] }) {
  const list = useLoaded(async () => (await get("products")).products, []);
  useEvery(READ_MS, list.again);
  useEvents((kind) => kind === "state" && list.again());
  const changed = () => {
    list.again();
    loadProducts();
  };
  const shown = chosen ?? list.data?.[0]?.name;
  return html`<div class="products">
    <div class="products-list">
      <${Loaded} of=${list}>${(found) => html`<ul class="product-list">${found.map((one) => html`<${Row} key=${one.name} one=${one} here=${one.name === shown} />`)}</ul>`}</${Loaded}>
      ${may("admin") && html`<a class="button wide" href=${linkTo("products", NEW)} aria-current=${shown === NEW ? "page" : undefined}><${Icon} name="folder" />${t("training.new")}</a>`}
    </div>
    <div class="products-detail">
      ${shown === NEW ? html`<${TrainingView} onDone=${(name) => (changed(), go("products", name))} />`
        : shown ? html`<${ProductDetail} key=${shown} name=${shown} onChanged=${changed} />`
        : list.state === "there" && html`<${Empty} icon="products" title=${t("products.none")}>${t("products.none.words")}</${Empty}>`}
    </div>
  </div>`;
}

function Row({ one, here }) {
  const doubtful = one.doubts.length > 0 || Object.keys(one.problems).length > 0 || one.state === "refused";
  return html`<li><a class="product-row" href=${linkTo("products", one.name)} aria-current=${here ? "page" : undefined}>
    <span><b>${one.name}</b><span class="soft">${one.version ? `${one.version} · ${one.method}` : "–"}</span></span>
    <span class="product-state product-${one.state}">${doubtful && html`<${Icon} name="warn" />`}${t(`product.state.${one.state}`)}</span></a></li>`;
}
