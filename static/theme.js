/** Light or dark: as the system wants it, until the reader chooses on the page; the choice is kept. */
import { keep, recall } from "./keep.js";

const root = document.documentElement;

/** @typedef {"light" | "dark"} Theme */

/** @returns {Theme} */
export function currentTheme() {
  return root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

/** @param {Theme} theme */
export function chooseTheme(theme) {
  root.dataset.theme = theme;
  keep("theme", theme);
}

/** Show what was chosen before. */
export function recallTheme() {
  const kept = recall("theme");
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
}
