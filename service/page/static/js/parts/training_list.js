// The trainings of a product: how far, the end of the log, the report; stop and activate.
import { html } from "../vendor/htm-preact.js";
import { get, post, remove } from "../api.js";
import { dateTime, percent, t } from "../i18n.js";
import { useEvery, useLoaded } from "../loading.js";
import { failed, notify } from "./notices.js";
import { Promises } from "./promises.js";

const WATCH_MS = 1500;
const RUNNING = "running";

export function TrainingList({ name, onDone }) {
  const base = `products/${encodeURIComponent(name)}/trainings`;
  const list = useLoaded(async () => (await get(base)).trainings, [name]);
  const busy = list.data?.some((one) => one.state === RUNNING);
  useEvery(WATCH_MS, list.again, Boolean(busy));
  const act = async (run, then) => {
    try {
      then(await run());
    } catch (error) {
      failed(error);
    }
    list.again();
  };
  const stop = (one) => act(() => remove(`${base}/${one.id}`), () => notify("done", t(one.state === RUNNING ? "training.stopped" : "training.removed")));
  const activate = (one) => act(() => post(`${base}/${one.id}/activate`), () => {
    notify("done", t("training.activated", { name }));
    onDone(name);
  });
  if (!list.data?.length) return null;
  return html`<section class="card"><h2>${t("training.list", { name })}</h2><ul class="trainings">
    ${list.data.map((one) => html`<${Training} key=${one.id} one=${one} onStop=${() => stop(one)} onActivate=${() => activate(one)} />`)}</ul></section>`;
}

// What to know before it is activated.
function Report({ of }) {
  return html`<div class="report"><p class="words">${t(of.folds ? "training.report.folds" : "training.report", { method: of.method, size: of.image_size, trained: of.images_trained, held_out: of.images_held_out, folds: of.folds })}</p>
    ${of.doubts.map((words) => html`<p key=${words} class="words why-not">${words}</p>`)}
    <${Promises} of=${of} />
    <p class="soft small">${t("training.smallest", { smallest: percent(of.smallest_false_reject) })}</p></div>`;
}

function Training({ one, onStop, onActivate }) {
  const atWork = one.state === RUNNING;
  const share = one.progress ? one.progress.done / Math.max(1, one.progress.total) : 0;
  return html`<li class="training-one">
    <header><b class="training-state training-${one.state}">${t(`training.state.${one.state}`)}</b>
      <span class="soft">${t("training.facts", { count: one.pictures, version: one.version, at: dateTime(one.at) })}</span></header>
    ${atWork && html`<div class="progress" role="progressbar" aria-label=${t("training.progress")} aria-valuenow=${Math.round(share * 100)}><i style=${{ width: `${share * 100}%` }}></i></div>
      ${one.progress && html`<p class="soft">${one.progress.stage}: ${percent(share, 0)}</p>`}`}
    ${one.reason && html`<p class="words why-not">${one.reason}</p>`}
    ${one.refused.length > 0 && html`<p class="words why-not">${t("training.refused", { count: one.refused.length, words: one.refused.slice(0, 3).map((each) => `${each.name ?? "–"}: ${each.detail}`).join("; ") })}</p>`}
    ${one.log.length > 0 && html`<pre class="log" tabindex="0" aria-label=${t("training.log")}>${one.log.join("\n")}</pre>`}
    ${one.artifact && html`<${Report} of=${one.artifact} />`}
    <div class="buttons">
      ${one.state === "ready" && html`<button class="button main" onClick=${onActivate}>${t("training.activate")}</button>`}
      <button class="button ${atWork ? "danger" : ""}" onClick=${onStop}>${t(atWork ? "training.stop" : "training.remove")}</button>
    </div></li>`;
}
