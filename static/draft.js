/** The deck being edited, kept across reloads in this browser. */
import { useEffect, useState } from "./vendor/htm-preact.js";
import { keep, recall } from "./keep.js";

/** @typedef {import("./deck.js").Deck} Deck */

/** @returns {[Deck | null, (next: Deck | ((deck: Deck) => Deck)) => void]} */
export function useDraft() {
  const [deck, setDeck] = useState(load);
  useEffect(() => void (deck && keep("deck", deck)), [deck]);
  return [deck, setDeck];
}

/** @returns {Deck | null} */
function load() {
  const kept = recall("deck");
  return Array.isArray(kept?.pages) ? kept : null;
}
