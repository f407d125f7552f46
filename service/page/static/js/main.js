// Starts the page: words, light or dark, who is logged in, and then the view that the address names.
import { html, render, useEffect, useLayoutEffect, useState } from "./vendor/htm-preact.js";
import { language, loadStrings, t } from "./i18n.js";
import { loadSession, session } from "./session.js";
import { useStore } from "./store.js";
import { applyTheme } from "./theme.js";
import { Frame } from "./parts/frame.js";
import { Notices, notify } from "./parts/notices.js";
import { Failed, Guard, Loading } from "./parts/states.js";
import { loadProducts, product, station } from "./place.js";
import { route } from "./router.js";
import { follow, leave, onEvent } from "./stream.js";
import { countWaiting } from "./waiting.js";
import { DefectsView } from "./views/defects.js";
import { LiveView } from "./views/live.js";
import { LoginView } from "./views/login.js";
import { ProductsView } from "./views/products.js";
import { ReviewView } from "./views/review.js";
import { TeachView } from "./views/teach.js";
import { WhatIfView } from "./views/what_if.js";

const VIEWS = { live: LiveView, review: ReviewView, teach: TeachView, "what-if": WhatIfView, products: ProductsView, defects: DefectsView };

function App() {
  const who = useStore(session);
  if (who.state === "loading") return html`<${Loading} />`;
  if (who.state === "unknown") return html`<${Failed} error=${who.error} again=${loadSession} />`;
  if (who.state === "outside") return html`<${LoginView} over=${who.over} />`;
  return html`<${Inside} />`;
}

function Inside() {
  const { view, rest } = useStore(route);
  const who = useStore(session);
  const chosen = useStore(product);
  const here = useStore(station);
  const sees = who.scopes.includes("view");
  useEffect(() => {
    if (sees) loadProducts();
  }, [sees]);
  useEffect(() => {
    if (!sees) return undefined;
    follow({ product: chosen, station: here });
    countWaiting({ product: chosen, station: here });
    return leave;
  }, [sees, chosen, here]);
  const View = VIEWS[view];
  return html`<${Frame}>${(trust) => html`<${Guard} scope="view"><${View} key=${view} rest=${rest} trust=${trust} /></${Guard}>`}</${Frame}>`;
}

function Root() {
  const [turn, draw] = useState(0);
  useLayoutEffect(() => language.subscribe(() => {
    loadStrings().then(() => draw((count) => count + 1), () => notify("failed", t("error.no_answer")));
  }), []);
  return html`<div key=${turn}><${App} /><${Notices} /></div>`;
}

applyTheme();
await loadStrings();
const app = document.getElementById("app");
app.replaceChildren(); // start.js has said that the page connects
render(html`<${Root} />`, app);
document.dispatchEvent(new Event("mkdserve:started"));
onEvent((kind) => kind === "cut" && loadSession()); // the stream of a session that is over is ended
loadSession();
