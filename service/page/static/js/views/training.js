// A first training from the browser: drop a folder of good parts or take pictures with a camera, watch, read the report, activate.
import { html, useState } from "../vendor/htm-preact.js";
import { ApiError, upload } from "../api.js";
import { percent, t } from "../i18n.js";
import { keptStore, useStore } from "../store.js";
import { failed } from "../parts/notices.js";
import { Camera } from "../parts/camera.js";
import { DropZone, Thumbnails, pathOf } from "../parts/drop_zone.js";
import { Icon } from "../parts/icons.js";
import { NOTHING, RegionEditor, appendRegions } from "../parts/region_editor.js";
import { TrainingList } from "../parts/training_list.js";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const FEWEST = 8;
const begun = keptStore("training", ""); // so that a training is found again after a reload

export function TrainingView({ onDone }) {
  const name = useStore(begun);
  const [files, setFiles] = useState([]);
  const [regions, setRegions] = useState(NOTHING);
  const [camera, setCamera] = useState(false);
  const [sent, setSent] = useState(null);
  const [turn, setTurn] = useState(0);
  const add = (more) => setFiles((before) => [...before, ...more]);
  const clear = () => {
    setFiles([]);
    setRegions(NOTHING);
  };
  const wrong = name && !NAME.test(name) ? t("training.name.wrong") : null;
  const start = async (event) => {
    event.preventDefault();
    const form = new FormData();
    for (const file of files) form.append("image", file, pathOf(file));
    appendRegions(form, regions);
    const stop = new AbortController();
    setSent({ share: 0, stop });
    try {
      await upload(`products/${encodeURIComponent(name)}/trainings`, form, (share) => setSent({ share, stop }), stop.signal);
      clear();
      setTurn((before) => before + 1);
    } catch (error) {
      failed(error instanceof ApiError ? error : new ApiError(0, { detail: String(error) }));
    }
    setSent(null);
  };
  return html`<div class="training">
    <form class="card" onSubmit=${start}>
      <h2>${t("training.title")}</h2>
      <p class="words">${t("training.words")}</p>
      <label class="field"><span>${t("training.name")}</span><input required value=${name} maxlength="64" autocomplete="off" spellcheck="false" aria-invalid=${wrong !== null}
        aria-describedby="name-wrong" onInput=${(event) => begun.set(event.target.value)} /></label>
      <p id="name-wrong" class="field-error" role="alert">${wrong}</p>
      <${DropZone} onFiles=${add} />
      <div class="buttons"><button type="button" class="button" onClick=${() => setCamera(true)}><${Icon} name="camera" />${t("training.camera")}</button>
        ${files.length > 0 && html`<button type="button" class="button" onClick=${clear}>${t("training.clear")}</button>`}</div>
      ${files.length > 0 && html`<p class="words" data-testid="picture-count">${t("training.count", { count: files.length })} ${files.length < FEWEST ? t("training.few", { fewest: FEWEST }) : ""}</p>
        <${Thumbnails} files=${files} />
        <${RegionEditor} files=${files} regions=${regions} onRegions=${setRegions} />`}
      ${sent ? html`<div class="progress" role="progressbar" aria-valuenow=${Math.round(sent.share * 100)} aria-label=${t("training.sending", { share: percent(sent.share, 0) })}><i style=${{ width: `${sent.share * 100}%` }}></i></div>
          <p class="soft">${t("training.sending", { share: percent(sent.share, 0) })}</p><button type="button" class="button" onClick=${() => sent.stop.abort()}>${t("cancel")}</button>`
        : html`<button class="button main wide" disabled=${files.length < FEWEST || !NAME.test(name)}>${t("training.start")}</button>`}
    </form>
    ${NAME.test(name) && html`<${TrainingList} key=${`${name}${turn}`} name=${name} onDone=${onDone} />`}
    ${camera && html`<${Camera} onPicture=${(file) => add([file])} onClose=${() => setCamera(false)} />`}
  </div>`;
}
