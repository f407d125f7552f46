// The picture of a part with its map over it (a slider says how strongly) and the regions that the map points at.
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { address } from "../address.js";
import { get } from "../api.js";
import { t } from "../i18n.js";
import { keptStore, useStore } from "../store.js";
import { Icon } from "./icons.js";
import { paintMap } from "./map_colours.js";

export const strength = keptStore("map", 60);
const LOOK_MS = 600; // a part that passes by at once costs the engine nothing

// Of a part with several lights the one that decided, once that is known; else the first.
export const pictureOf = (row, group = null) => address(`verdicts/${row.id}/picture`, { form: "shown", group });

export function Picture({ row, instead = null }) {
  const [gone, setGone] = useState(null);
  const shown = useStore(strength);
  const [found, setFound] = useState(null);
  useEffect(() => {
    setGone(null);
    setFound(null);
    if (!row || !row.picture) return undefined;
    let mine = true;
    const read = async () => {
      try {
        const answer = await get(`verdicts/${row.id}/localization`);
        if (mine) setFound({ ...answer, id: row.id });
      } catch (error) {
        if (mine) setFound({ error, id: row.id });
      }
    };
    const timer = setTimeout(read, LOOK_MS);
    return () => {
      mine = false;
      clearTimeout(timer);
    };
  }, [row?.id, row?.picture]);
  if (!row) return html`<div class="stage stage-empty"><${Icon} name="picture" /></div>`;
  const missing = !row.picture ? t("picture.not_kept") : gone;
  const here = found?.id === row.id ? found : null;
  return html`<div class="picture">
    <div class="stage ${missing ? "stage-empty" : ""}">
      ${missing
        ? html`<${Icon} name="picture" /><p>${missing}</p>${instead}`
        : html`<img key=${row.id} src=${pictureOf(row, here?.group)} alt=${t("picture.alt", { decision: row.decision })}
              onError=${() => whyGone(row).then(setGone)} />
            ${here?.map && html`<${MapLayer} found=${here} strength=${shown} />`}
            ${here?.regions && shown > 0 && html`<${Regions} row=${row} regions=${here.regions} />`}`}
    </div>
    ${!missing && html`<${MapBar} found=${here} />`}
  </div>`;
}

// An image that fails says nothing of why; the service does.
async function whyGone(row) {
  try {
    await get(`verdicts/${row.id}/picture`);
  } catch (error) {
    if (error.code === "picture_gone") return t("picture.gone");
    return error.message;
  }
  return t("picture.broken");
}

function MapLayer({ found, strength: shown }) {
  const canvas = useRef(null);
  useEffect(() => {
    paintMap(canvas.current, found.map, found.map_scale);
  }, [found]);
  return html`<canvas ref=${canvas} class="map" style=${{ opacity: shown / 100 }} aria-hidden="true"></canvas>`;
}

function Regions({ row, regions }) {
  const thin = Math.max(row.width, row.height) / 160;
  return html`<svg class="regions" viewBox="0 0 ${row.width} ${row.height}" aria-hidden="true">
    ${regions.slice(0, 12).map(({ box: [x, y, width, height] }, index) => html`<g key=${index}>
      <rect x=${x} y=${y} width=${width} height=${height} class="region-under" stroke-width=${thin * 2} />
      <rect x=${x} y=${y} width=${width} height=${height} class="region" stroke-width=${thin} /></g>`)}
  </svg>`;
}

function MapBar({ found }) {
  const shown = useStore(strength);
  const words = found?.error ? t(`map.${found.error.code === "version_gone" ? "version_gone" : "failed"}`)
    : found?.map ? [found.group, t("map.regions", { count: found.regions.length })].filter(Boolean).join(": ")
    : t("map.loading");
  return html`<div class="map-bar">
    <label><span>${t("map.label")}</span>
      <input type="range" min="0" max="100" step="5" value=${shown} disabled=${!found?.map}
        onInput=${(event) => strength.set(Number(event.target.value))} /></label>
    <span class="soft" role="status">${words}</span>
  </div>`;
}
