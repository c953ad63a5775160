/** The deck being edited, kept across reloads in this browser. */
import { useEffect, useState } from "./vendor/htm-preact.js";

/** @typedef {import("./deck.js").Deck} Deck */

const STORAGE_KEY = "slideloom.deck";

/** @returns {[Deck | null, (next: Deck | ((deck: Deck) => Deck)) => void]} */
export function useDraft() {
  const [deck, setDeck] = useState(load);
  useEffect(() => save(deck), [deck]);
  return [deck, setDeck];
}

/** @returns {Deck | null} */
function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "null");
    return Array.isArray(kept?.pages) ? kept : null;
  } catch {
    return null;
  }
}

/** @param {Deck | null} deck */
function save(deck) {
  if (!deck) return;
  try {
    localStorage.setItem(STORAGE_KEY, JSON.stringify(deck));
  } catch {
    // Storage is closed or full: the deck lasts as long as the page.
  }
}
