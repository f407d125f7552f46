// Draws on a picture what is ignored and what alone is looked at: drag a rectangle, or tap corners and close the shape.
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { t } from "../i18n.js";

const SHOWN = /\.(png|jpe?g|bmp|webp)$/i; // by a browser
const DRAG = 6; // pixels of the screen: less is a tap
const NEAR = 14; // so close to the first corner a tap closes the shape
const KINDS = ["ignore", "roi"];
export const NOTHING = { width: 0, height: 0, shapes: [] };

// The form's fields `ignore` and `roi`, as polygons in pixels of the picture.
export function appendRegions(form, { width, height, shapes }) {
  for (const kind of KINDS) {
    const polygons = shapes.filter((shape) => shape.kind === kind).map((shape) => shape.corners);
    const document = JSON.stringify({ width, height, polygons });
    if (polygons.length) form.append(kind, new Blob([document], { type: "application/json" }), `${kind}.json`);
  }
}

export function RegionEditor({ files, regions, onRegions }) {
  const file = files.find((one) => SHOWN.test(one.name));
  const [kind, setKind] = useState("ignore");
  const [corners, setCorners] = useState([]);
  const add = (shape) => {
    setCorners([]);
    if (shape.length >= 3) onRegions({ ...regions, shapes: [...regions.shapes, { kind, corners: shape }] });
  };
  const undo = () => {
    if (corners.length) setCorners(corners.slice(0, -1));
    else onRegions({ ...regions, shapes: regions.shapes.slice(0, -1) });
  };
  const count = (of) => regions.shapes.filter((shape) => shape.kind === of).length;
  return html`<details class="regions-of-training">
    <summary>${t("training.regions")}${" "}<span class="soft" role="status">${regions.shapes.length > 0 && t("training.regions.count", { ignored: count("ignore"), looked: count("roi") })}</span></summary>
    ${!file ? html`<p class="words">${t("training.regions.unseen")}</p>` : html`
      <p class="words">${t("training.regions.words")}</p>
      <fieldset class="choice"><legend>${t("training.regions.kind")}</legend><div class="choice-row">
        ${KINDS.map((one) => html`<label key=${one} class=${one === kind ? "chosen" : ""}><input type="radio" name="region-kind" checked=${one === kind} onChange=${() => setKind(one)} />${t(`training.regions.${one}`)}</label>`)}
      </div></fieldset>
      <${Canvas} file=${file} regions=${regions} kind=${kind} corners=${corners} onCorners=${setCorners} onShape=${add}
        onSize=${(width, height) => onRegions({ ...NOTHING, width, height })} />
      <div class="buttons">
        <button type="button" class="button" disabled=${corners.length < 3} onClick=${() => add(corners)}>${t("training.regions.close")}</button>
        <button type="button" class="button" disabled=${corners.length + regions.shapes.length === 0} onClick=${undo}>${t("undo")}</button>
      </div>`}
  </details>`;
}

function Canvas({ file, regions, kind, corners, onCorners, onShape, onSize }) {
  const [url, setUrl] = useState(null);
  const [box, setBox] = useState(null); // a rectangle while it is dragged: two corners
  const begun = useRef(null);
  const drawing = useRef(null);
  useEffect(() => {
    const made = URL.createObjectURL(file);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  const at = (event) => {
    const { left, top, width, height } = drawing.current.getBoundingClientRect();
    const inside = (share, side) => Math.round(Math.min(Math.max(share, 0), 1) * side);
    return [inside((event.clientX - left) / width, regions.width), inside((event.clientY - top) / height, regions.height)];
  };
  const far = ([x, y], event) => Math.hypot(event.clientX - x, event.clientY - y);
  const down = (event) => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    begun.current = { screen: [event.clientX, event.clientY], corner: at(event) };
  };
  const move = (event) => {
    if (begun.current && far(begun.current.screen, event) >= DRAG) setBox([begun.current.corner, at(event)]);
  };
  const up = (event) => {
    const start = begun.current;
    begun.current = null;
    setBox(null);
    if (!start) return;
    if (far(start.screen, event) >= DRAG) onShape(rectangle(start.corner, at(event)));
    else if (corners.length >= 3 && isNear(corners[0], at(event), drawing.current, regions)) onShape(corners);
    else onCorners([...corners, at(event)]);
  };
  const thin = Math.max(regions.width, regions.height) / 240;
  const points = (shape) => shape.map((corner) => corner.join()).join(" ");
  const wide = regions.width > 0 ? `calc(70vh * ${regions.width} / ${regions.height})` : "100%"; // a tall picture fits the window
  return html`<div class="marking" style=${{ maxWidth: wide }}>
    ${url && html`<img src=${url} alt=${t("training.regions.alt")} onLoad=${({ target }) => {
      if (target.naturalWidth !== regions.width || target.naturalHeight !== regions.height) onSize(target.naturalWidth, target.naturalHeight);
    }} />`}
    ${regions.width > 0 && html`<svg ref=${drawing} viewBox="0 0 ${regions.width} ${regions.height}" preserveAspectRatio="none" aria-hidden="true"
        onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${() => { begun.current = null; setBox(null); }}>
      ${regions.shapes.map((shape, index) => html`<polygon key=${index} class="mark mark-${shape.kind}" points=${points(shape.corners)} stroke-width=${thin} />`)}
      ${box && html`<polygon class="mark mark-${kind}" points=${points(rectangle(...box))} stroke-width=${thin} />`}
      ${corners.length > 0 && html`<polyline class="mark mark-${kind} mark-open" points=${points(corners)} stroke-width=${thin} />
        ${corners.map(([x, y], index) => html`<circle key=${index} class="mark-corner" cx=${x} cy=${y} r=${thin * 2} />`)}`}
    </svg>`}
  </div>`;
}

const rectangle = ([x0, y0], [x1, y1]) => (x0 === x1 || y0 === y1 ? [] : [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]);

function isNear([x0, y0], [x, y], drawing, { width, height }) {
  const shown = drawing.getBoundingClientRect();
  return Math.hypot(((x - x0) / width) * shown.width, ((y - y0) / height) * shown.height) <= NEAR;
}
