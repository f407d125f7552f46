// A view of one product: the one that is chosen, else the first; or why there is none yet.
import { html, useEffect } from "../vendor/htm-preact.js";
import { t } from "../i18n.js";
import { loadProducts, product, products } from "../place.js";
import { useStore } from "../store.js";
import { Empty, Failed, Loading } from "./states.js";

export function OfProduct({ view: View }) {
  const found = useStore(products);
  const chosen = useStore(product);
  useEffect(() => {
    if (!chosen && found.names.length) product.set(found.names[0]);
  }, [chosen, found]);
  if (chosen) return html`<${View} key=${chosen} name=${chosen} />`;
  if (found.state === "failed") return html`<${Failed} error=${found.error} again=${loadProducts} />`;
  if (found.state === "loading" || found.names.length) return html`<${Loading} />`;
  return html`<${Empty} icon="products" title=${t("products.none")}>${t("products.none.words")}</${Empty}>`;
}
