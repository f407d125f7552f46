// The trainings of a product: how far, the end of the log, the report; stop and activate.
import { html } from "../vendor/htm-preact.js";
import { address, get, post, remove } from "../api.js";
import { dateTime, percent, t } from "../i18n.js";
import { useEvery, useLoaded } from "../loading.js";
import { failed, notify } from "./notices.js";

const WATCH_MS = 1500;
const AT_WORK = ["waiting", "running", "queued"];

export function TrainingList({ name, onDone }) {
  const base = `products/${encodeURIComponent(name)}/trainings`;
  const list = useLoaded(async () => (await get(base)).trainings, [name]);
  const busy = list.data?.some((one) => AT_WORK.includes(one.state));
  useEvery(WATCH_MS, list.again, Boolean(busy));
  const act = async (run, then) => {
    try {
      then(await run());
    } catch (error) {
      failed(error);
    }
    list.again();
  };
  const stop = (one) => act(() => remove(`${base}/${one.id}`), () => notify("done", t("training.stopped")));
  const activate = (one) => act(() => post(`${base}/${one.id}/activate`), () => {
    notify("done", t("training.activated", { name }));
    onDone(name);
  });
  if (!list.data?.length) return null;
  return html`<section class="card"><h2>${t("training.list", { name })}</h2><ul class="trainings">
    ${list.data.map((one) => html`<${Training} key=${one.id} one=${one} onStop=${() => stop(one)} onActivate=${() => activate(one)} />`)}</ul></section>`;
}

function Training({ one, onStop, onActivate }) {
  const atWork = AT_WORK.includes(one.state);
  const share = one.progress?.share ?? one.progress ?? null;
  return html`<li class="training-one">
    <header><b>${t(`training.state.${one.state}`)}</b><span class="soft">${one.at ? dateTime(one.at) : ""}</span></header>
    ${atWork && html`<div class="progress" role="progressbar" aria-label=${t("training.progress")} aria-valuenow=${Math.round((share ?? 0) * 100)}><i style=${{ width: `${(share ?? 0) * 100}%` }}></i></div>
      <p class="soft">${one.progress?.words ?? percent(share ?? 0, 0)}</p>`}
    ${one.reason && html`<p class="words why-not">${one.reason}</p>`}
    ${one.log?.length > 0 && html`<pre class="log" tabindex="0" aria-label=${t("training.log")}>${Array.isArray(one.log) ? one.log.join("\n") : one.log}</pre>`}
    <div class="buttons">
      ${atWork && html`<button class="button danger" onClick=${onStop}>${t("training.stop")}</button>`}
      ${one.report && html`<a class="button" href=${address(one.report)} target="_blank" rel="noopener">${t("training.report")}</a>`}
      ${one.state === "done" && html`<button class="button main" onClick=${onActivate}>${t("training.activate")}</button>`}
    </div></li>`;
}
