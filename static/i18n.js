/**
 * Words in the reader's language: zh for a Chinese browser, else en; the choice made on the page wins and is kept.
 * Keys are flat; `{name}` in a text is replaced. Plurals have two keys, `….one` and `….other`.
 */
import en from "./words-en.js";
import zh from "./words-zh.js";

/** @typedef {"en" | "zh"} Lang */

const WORDS = { en, zh };
const STORAGE_KEY = "slideloom.lang";

/** @type {Lang} */
let lang = keptLang() ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");

/** @returns {Lang} */
export function currentLang() {
  return lang;
}

/** @param {Lang} next */
export function chooseLang(next) {
  lang = next;
  try {
    localStorage.setItem(STORAGE_KEY, next);
  } catch {
    // Storage is closed (private window): the choice lasts as long as the page.
  }
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

/** Whether a key exists: for codes that come from the server. @param {string} key */
export function hasWords(key) {
  return key in WORDS[lang];
}

function keptLang() {
  try {
    const kept = localStorage.getItem(STORAGE_KEY);
    return kept === "en" || kept === "zh" ? kept : null;
  } catch {
    return null;
  }
}
