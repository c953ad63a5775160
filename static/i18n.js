/**
 * Words and numbers in the reader's language: zh for a Chinese browser, else en; the choice made on the page wins and is kept.
 * Keys are flat; `{name}` in a text is replaced. Plurals have two keys, `….one` and `….other`.
 */
import { keep, recall } from "./keep.js";

/** @typedef {"en" | "zh"} Lang */

/** @type {Lang} */
let lang = ["en", "zh"].find((one) => one === recall("lang")) ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
let words = await fetchWords(lang);

/** The other language is fetched when it is wanted. @param {Lang} which @returns {Promise<Record<string, string>>} */
async function fetchWords(which) {
  return (await import(`./words-${which}.js`)).default;
}

/** @returns {Lang} */
export function currentLang() {
  return lang;
}

/** @param {Lang} next */
export async function chooseLang(next) {
  words = await fetchWords(next);
  lang = next;
  keep("lang", next);
}

/** The BCP 47 tag for `lang` attributes, number formats and `Accept-Language`. */
export function langTag() {
  return lang === "zh" ? "zh-CN" : "en";
}

/**
 * The text of a key, its `{names}` filled in.
 * @param {string} key
 * @param {Record<string, unknown>} [values]
 */
export function t(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/**
 * The text for `n` things: `key.one` or `key.other`, with `{n}` filled in.
 * @param {string} key
 * @param {number} n
 * @param {Record<string, unknown>} [values]
 */
export function tn(key, n, values = {}) {
  return t(`${key}.${n === 1 ? "one" : "other"}`, { n, ...values });
}

/** "42 s", "1 min 05 s". @param {number} seconds */
export function formatSeconds(seconds) {
  const [min, sec] = currentLang() === "zh" ? [" 分 ", " 秒"] : [" min ", " s"];
  if (seconds < 10) return `${Number(seconds.toFixed(1))}${sec}`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}${sec}`;
  return `${Math.floor(whole / 60)}${min}${String(whole % 60).padStart(2, "0")}${sec}`;
}

/** A running clock: "0:42", "12:05", "1:02:05". @param {number} seconds */
export function formatClock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = String(s).padStart(2, "0");
  return h ? `${h}:${String(m).padStart(2, "0")}:${tail}` : `${m}:${tail}`;
}

/** @param {number} usd */
export function formatCost(usd) {
  const digits = { minimumFractionDigits: 2, maximumFractionDigits: usd < 0.1 ? 3 : 2 };
  return new Intl.NumberFormat(langTag(), { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", ...digits }).format(usd);
}

/** "5 minutes ago". @param {string} timestamp ISO 8601 */
export function formatAgo(timestamp) {
  const seconds = (Date.parse(timestamp) - Date.now()) / 1000;
  const words = new Intl.RelativeTimeFormat(langTag(), { numeric: "auto" });
  if (seconds > -60) return words.format(Math.min(0, Math.round(seconds)), "second");
  if (seconds > -3600) return words.format(Math.round(seconds / 60), "minute");
  if (seconds > -86_400) return words.format(Math.round(seconds / 3600), "hour");
  return words.format(Math.round(seconds / 86_400), "day");
}
