// Review: one part after another, one key each for good, defect and unsure; undo; and where two people disagree.
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { get, post, remove } from "../api.js";
import { t } from "../i18n.js";
import { useKeys } from "../keys.js";
import { useEvents, useEvery, useLoaded } from "../loading.js";
import { noteStations, product, station } from "../place.js";
import { may } from "../session.js";
import { useStore } from "../store.js";
import { waiting } from "../waiting.js";
import { failed, notify } from "../parts/notices.js";
import { Picture, pictureOf, strength } from "../parts/picture.js";
import { Choice } from "../parts/settings.js";
import { Empty, Loaded } from "../parts/states.js";
import { Facts, Gauge, VerdictBlock, partName } from "../parts/verdict.js";
import { ClassDialog } from "../parts/class_dialog.js";
import { Judgements, Judging } from "../parts/judging.js";

const PAGE = 50;
const REFILL_AT = 10;
const WATCH_MS = 20000;
const LISTS = ["waiting", "disagreed", "judged"];

async function read(list, filter) {
  if (list === "waiting") {
    const found = await get("reviews", { ...filter, limit: PAGE });
    waiting.set(found.waiting);
    return found.verdicts;
  }
  return (await get("verdicts", { ...filter, reviewed: list === "disagreed" ? "disagreed" : "yes", limit: PAGE })).verdicts;
}

export function ReviewView() {
  const filter = { product: useStore(product), station: useStore(station) };
  const [list, setList] = useState("waiting");
  const rows = useLoaded(() => read(list, filter), [...Object.values(filter), list]);
  useEffect(() => rows.data && noteStations(rows.data), [rows.data]);
  useEvents((kind) => {
    const isNews = kind === "verdict" && list === "waiting" && rows.data?.length === 0;
    if (kind === "resumed" || isNews) rows.again();
  });
  useEvery(WATCH_MS, rows.again, list === "waiting" && rows.data?.length === 0);
  const count = useStore(waiting);
  return html`<div class="review">
    <div class="review-head">
      <${Choice} label=${t("review.list")} value=${list} onChoose=${setList}
        options=${LISTS.map((name) => [name, name === "waiting" ? t("review.waiting", { count }) : t(`review.${name}`)])} />
    </div>
    <${Loaded} of=${rows}>${(found) => html`<${Queue} key=${list} rows=${found} list=${list} change=${rows.change} again=${rows.again} />`}</${Loaded}>
  </div>`;
}

function Queue({ rows, list, change, again }) {
  const [at, setAt] = useState(0);
  const [naming, setNaming] = useState(false);
  const done = useRef([]);
  const row = rows[Math.min(at, rows.length - 1)];
  const next = rows[Math.min(at, rows.length - 1) + 1];
  useEffect(() => {
    if (next?.picture) new Image().src = pictureOf(next); // there before it is its turn
  }, [next?.id]);
  useEvents((kind, data) => kind === "review" && change((before) => before.map((one) => (one.id === data.id ? data : one))));

  const judge = async (label, name = null) => {
    setNaming(false);
    try {
      const review = await post(`verdicts/${row.id}/reviews`, { label, class: name });
      done.current.push({ review, row });
      after(row, review, label);
    } catch (error) {
      if (error.code === "already_reviewed") notify("failed", t("review.already"));
      else failed(error);
    }
  };
  const after = (judged, review, label) => {
    const other = judged.reviews.find((one) => !one.withdrawn_at && one.label !== label);
    const words = { part: partName(judged), label: t(`label.${label}`) };
    notify("done", other ? t("review.disagree", { ...words, by: other.by, other: t(`label.${other.label}`) }) : t("review.done", words), undo);
    if (list !== "waiting") change((before) => before.map((one) => (one.id === judged.id ? { ...one, reviews: [...one.reviews, review] } : one)));
    else if (label === "unsure") setAt((before) => Math.min(before + 1, rows.length - 1));
    else {
      waiting.set((before) => Math.max(0, before - 1));
      change((before) => before.filter((one) => one.id !== judged.id));
      if (rows.length <= REFILL_AT) again();
    }
  };
  const undo = async () => {
    const last = done.current.pop();
    if (!last) return;
    try {
      await remove(`reviews/${last.review.id}`);
      notify("done", t("review.undone", { part: partName(last.row) }));
      change((before) => [last.row, ...before.filter((one) => one.id !== last.row.id)]);
      setAt(0);
      again();
    } catch (error) {
      failed(error);
    }
  };
  const move = (by) => () => setAt((before) => Math.max(0, Math.min(rows.length - 1, Math.min(before, rows.length - 1) + by)));
  const judging = may("review") && row;
  useKeys({
    g: () => judging && judge("good"),
    d: () => judging && setNaming(true),
    u: () => judging && judge("unsure"),
    z: undo,
    m: () => strength.set((before) => (before > 0 ? 0 : 60)),
    ArrowRight: move(1),
    ArrowLeft: move(-1),
  });
  if (!row) return html`<${Empty} icon="review" title=${t(`review.${list}.empty`)}>${t(`review.${list}.empty.words`)}</${Empty}>`;
  return html`<div class="review-part">
    <div class="review-picture card"><${Picture} row=${row} />
      <div class="review-move"><button class="button square" aria-label=${t("review.previous")} disabled=${at === 0} onClick=${move(-1)}>←</button>
        <span data-testid="place">${t("review.place", { at: Math.min(at, rows.length - 1) + 1, of: rows.length })}</span>
        <button class="button square" aria-label=${t("review.next")} disabled=${!next} onClick=${move(1)}>→</button></div></div>
    <div class="review-side">
      <${VerdictBlock} row=${row} />
      <${Judging} allowed=${may("review")} onJudge=${judge} onDefect=${() => setNaming(true)} onUndo=${done.current.length ? undo : null} />
      <${Judgements} reviews=${row.reviews} />
      <section class="card"><${Gauge} row=${row} /><${Facts} row=${row} /></section>
    </div>
    ${naming && html`<${ClassDialog} product=${row.product} onChoose=${(name) => judge("defect", name)} onClose=${() => setNaming(false)} />`}
  </div>`;
}
