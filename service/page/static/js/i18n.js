// Words and figures in the language of the person: every text of the page comes from strings/<language>.json.
import { pause } from "./backoff.js";
import { keptStore } from "./store.js";

const root = document.documentElement;
const files = new URL("../strings/", import.meta.url);
export const languages = root.dataset.languages.split(" ");
export const language = keptStore("language", null);

const HOURS = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const PATIENCE_MS = 6000;
const ATTEMPTS = 4;
const FIRST_PAUSE_MS = 500;
let strings = {};
let formats = {};

export function chosenLanguage() {
  const wanted = [language.get(), ...navigator.languages.map((tag) => tag.split("-")[0]), "en"];
  return wanted.find((tag) => languages.includes(tag));
}

async function read(tag) {
  for (let failures = 1; ; failures++) {
    try {
      const answer = await fetch(new URL(`${tag}.json`, files), { signal: AbortSignal.timeout(PATIENCE_MS) });
      if (!answer.ok) throw new Error(`${tag}.json: HTTP ${answer.status}`);
      return await answer.json();
    } catch (error) {
      if (failures === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause(failures, FIRST_PAUSE_MS)));
    }
  }
}

// Rejects where the words cannot be had; those that are there stay.
export async function loadStrings() {
  const tag = chosenLanguage();
  const found = await Promise.all([...new Set(["en", tag])].map(read));
  strings = Object.assign({}, ...found);
  root.lang = tag;
  formats = {
    time: new Intl.DateTimeFormat(tag, { ...HOURS, second: "2-digit" }),
    short: new Intl.DateTimeFormat(tag, HOURS),
    date: new Intl.DateTimeFormat(tag, { ...HOURS, day: "numeric", month: "short" }),
    plural: new Intl.PluralRules(tag),
  };
}

// "{name}" is replaced; a text may have a second form, key.one, that is taken for a {count} of one.
export function t(key, values = {}) {
  const singular = "count" in values && formats.plural.select(values.count) === "one" && strings[`${key}.one`];
  const text = singular || strings[key];
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? number(values[name]) : values[name]));
}

export function number(value, digits = 0) {
  return value.toLocaleString(root.lang, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

// Three significant figures: scores of different methods differ by orders of magnitude.
export function figure(value) {
  if (value === null || value === undefined) return "–";
  if (value !== 0 && (Math.abs(value) < 0.001 || Math.abs(value) >= 1e6)) return value.toExponential(2);
  return value.toLocaleString(root.lang, { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
}

export function percent(share, digits) {
  if (share === null || share === undefined) return "–";
  const shown = digits ?? (share > 0 && share < 0.001 ? 3 : share < 0.01 ? 2 : 1);
  return share.toLocaleString(root.lang, { style: "percent", minimumFractionDigits: 0, maximumFractionDigits: shown });
}

export const clock = (when) => formats.time.format(new Date(when));
export const shortClock = (when) => formats.short.format(new Date(when));
export const dateTime = (when) => formats.date.format(new Date(when));
