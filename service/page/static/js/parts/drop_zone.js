// Where a folder of pictures is dropped or chosen; folders are walked, and what is no picture by its name is left out.
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { t } from "../i18n.js";
import { Icon } from "./icons.js";

const PICTURE = /\.(png|jpe?g|bmp|tiff?|webp)$/i;
const MOST_THUMBNAILS = 24;

export function DropZone({ onFiles }) {
  const [over, setOver] = useState(false);
  const input = useRef(null);
  const take = (files) => onFiles(files.filter((file) => PICTURE.test(file.name)));
  const drop = async (event) => {
    event.preventDefault();
    setOver(false);
    take(await filesIn(event.dataTransfer));
  };
  const drag = (inside) => (event) => {
    event.preventDefault();
    setOver(inside);
  };
  return html`<div class="drop ${over ? "drop-over" : ""}" onDrop=${drop} onDragOver=${drag(true)} onDragEnter=${drag(true)} onDragLeave=${drag(false)}>
    <${Icon} name="folder" /><p><strong>${t("training.drop")}</strong></p>
    <button type="button" class="button" onClick=${() => input.current.click()}>${t("training.choose")}</button>
    <input ref=${input} type="file" multiple webkitdirectory hidden aria-label=${t("training.choose")} onChange=${(event) => take([...event.target.files])} />
  </div>`;
}

async function filesIn(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  return entries.length ? (await Promise.all(entries.map(walk))).flat() : [...transfer.files];
}

const dropped = new WeakMap(); // file -> its path: of a drop the file itself does not tell it

// The name with the folders in front of it: the files of one part, a light each, lie in a folder.
export const pathOf = (file) => dropped.get(file) || file.webkitRelativePath || file.name;

async function walk(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    dropped.set(file, entry.fullPath.replace(/^\//, ""));
    return [file];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
    if (!some.length) return (await Promise.all(found.map(walk))).flat();
    found.push(...some);
  }
}

export function Thumbnails({ files }) {
  const shown = files.slice(0, MOST_THUMBNAILS);
  return html`<ul class="thumbnails">${shown.map((file, index) => html`<${Thumbnail} key=${`${index}${file.name}`} file=${file} />`)}
    ${files.length > shown.length && html`<li class="thumbnail-more">+${files.length - shown.length}</li>`}</ul>`;
}

function Thumbnail({ file }) {
  const [url, setUrl] = useState(null);
  useEffect(() => {
    const made = URL.createObjectURL(file);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  return html`<li>${url && html`<img src=${url} alt=${file.name} />`}</li>`;
}
