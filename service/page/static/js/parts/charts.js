// Two small charts: how the decisions were shared over the time, and how the p-values of the parts are spread.
import { html } from "../vendor/htm-preact.js";
import { dateTime, number, percent, shortClock, t } from "../i18n.js";

const WIDTH = 480;
const HEIGHT = 120;
const ORDER = ["NG", "REVIEW", "OK"];

export function RateChart({ buckets }) {
  const total = sum(buckets.map(partsIn));
  if (!total) return html`<p class="soft">${t("chart.no_parts")}</p>`;
  const shares = Object.fromEntries(ORDER.map((name) => [name, sum(buckets.map((one) => one[name])) / total]));
  const most = Math.max(0.05, ...buckets.map((one) => (partsIn(one) ? (one.NG + one.REVIEW) / partsIn(one) : 0)));
  const top = Math.min(1, most * 1.15);
  const wide = WIDTH / buckets.length;
  const words = t("chart.rate.words", { parts: total, ok: percent(shares.OK), review: percent(shares.REVIEW), ng: percent(shares.NG) });
  return html`<figure class="chart" aria-label=${words} role="img">
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none">
      <line x1="0" x2=${WIDTH} y1=${HEIGHT} y2=${HEIGHT} class="axis" />
      ${buckets.map((bucket, index) => html`<${Column} key=${bucket.from} bucket=${bucket} x=${index * wide} wide=${wide} top=${top} />`)}
    </svg>
    <div class="chart-axis"><span>${shortClock(buckets[0].from)}</span><span>${t("chart.top", { share: percent(top, 0) })}</span><span>${t("chart.now")}</span></div>
    <figcaption class="legend">${[...ORDER].reverse().map((name) => html`<span key=${name} class="count count-${name}"><b>${percent(shares[name])}</b> ${name}</span>`)}
      <span class="soft">${t("chart.parts", { count: total })}</span></figcaption>
  </figure>`;
}

function Column({ bucket, x, wide, top }) {
  const parts = partsIn(bucket);
  if (!parts) return null;
  const scale = (count) => (HEIGHT * count) / parts / top;
  const ng = Math.min(HEIGHT, scale(bucket.NG));
  const review = Math.min(HEIGHT - ng, scale(bucket.REVIEW));
  const title = `${dateTime(bucket.from)}: ${bucket.OK} OK, ${bucket.REVIEW} REVIEW, ${bucket.NG} NG`;
  return html`<g><title>${title}</title>
    <rect x=${x + 0.5} y="0" width=${wide - 1} height=${HEIGHT} class="bar-ground" />
    <rect x=${x + 0.5} y=${HEIGHT - ng} width=${wide - 1} height=${ng} class="bar-NG" />
    <rect x=${x + 0.5} y=${HEIGHT - ng - review} width=${wide - 1} height=${review} class="bar-REVIEW" /></g>`;
}

// Good parts of a steady line have every p-value equally often; a pile at the left is parts that look unlike the calibration.
export function PValueChart({ counts }) {
  const total = sum(counts);
  if (!total) return html`<p class="soft">${t("chart.no_parts")}</p>`;
  const expected = total / counts.length;
  const top = Math.max(...counts, expected * 1.5);
  const wide = WIDTH / counts.length;
  const words = t("chart.p.words", { share: percent(counts[0] / total), expected: percent(1 / counts.length) });
  return html`<figure class="chart" role="img" aria-label=${words}>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none">
      ${counts.map((count, index) => html`<rect key=${index} x=${index * wide + 1} width=${wide - 2} y=${HEIGHT - (HEIGHT * count) / top}
        height=${(HEIGHT * count) / top} class="bar-p"><title>${number(count)}</title></rect>`)}
      <line x1="0" x2=${WIDTH} y1=${HEIGHT - (HEIGHT * expected) / top} y2=${HEIGHT - (HEIGHT * expected) / top} class="expected" />
      <line x1="0" x2=${WIDTH} y1=${HEIGHT} y2=${HEIGHT} class="axis" />
    </svg>
    <div class="chart-axis"><span>0</span><span>${t("chart.p.expected")}</span><span>1</span></div>
    <figcaption class="legend soft">${words}</figcaption>
  </figure>`;
}

const partsIn = (bucket) => bucket.OK + bucket.REVIEW + bucket.NG;
const sum = (values) => values.reduce((total, value) => total + value, 0);
