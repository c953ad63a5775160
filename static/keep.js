/** What this browser keeps for the page, as JSON: choices, and the deck being edited. In a private window it lasts as long as the page. */
import { useEffect, useState } from "./vendor/htm-preact.js";
import { isDeck } from "./deck.js";

/** @typedef {import("./deck.js").Deck} Deck */

const memory = {};
const root = document.documentElement;

/** @param {string} name @param {unknown} value */
export function keep(name, value) {
  memory[name] = value;
  try {
    localStorage.setItem(`slideloom.${name}`, JSON.stringify(value));
  } catch {
    // Storage is closed or full.
  }
}

/** What was kept under that name, else null. @param {string} name @returns {any} */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(`slideloom.${name}`)) ?? memory[name] ?? null;
  } catch {
    return memory[name] ?? null;
  }
}

/**
 * The deck being edited, or the one that was put away under that name.
 * @param {string | null} name @returns {[Deck | null, (next: Deck | ((deck: Deck) => Deck)) => void]}
 */
export function useDraft(name) {
  const [deck, setDeck] = useState(() => recallDeck("deck"));
  useEffect(() => void (deck && keep("deck", deck)), [deck]);
  useEffect(() => void (name && !deck && setDeck(recallDeck(`deck of ${name}`))), [name]);
  return [deck, setDeck];
}

/** Out of sight for whoever signs in next in this browser, but not lost. @param {string} name Of who goes. */
export function putDraftAway(name) {
  keep(`deck of ${name}`, recall("deck"));
  keep("deck", null);
  keep("sent", null);
  keep("out", Date.now()); // Other tabs hear of it.
}

/** @param {string} name @returns {Deck | null} */
function recallDeck(name) {
  const kept = recall(name);
  return isDeck(kept) ? kept : null;
}

/** As the system wants it, until the reader chooses on the page. @returns {"light" | "dark"} */
export function currentTheme() {
  return root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

/** @param {"light" | "dark"} theme */
export function chooseTheme(theme) {
  root.dataset.theme = theme;
  keep("theme", theme);
}

/** Show the theme that was chosen before. */
export function recallTheme() {
  const kept = recall("theme");
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
}
