/**
 * Words in the reader's language: zh for a Chinese browser, else en; the choice made on the page wins and is kept.
 * Keys are flat; `{name}` in a text is replaced. Plurals have two keys, `….one` and `….other`.
 */
import { keep, recall } from "./keep.js";
import en from "./words-en.js";
import zh from "./words-zh.js";

/** @typedef {"en" | "zh"} Lang */

const WORDS = { en, zh };

/** @type {Lang} */
let lang = WORDS[recall("lang")] ? recall("lang") : navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";

/** @returns {Lang} */
export function currentLang() {
  return lang;
}

/** @param {Lang} next */
export function chooseLang(next) {
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
  return WORDS[lang][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
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
