/** A slide before it has a picture: its words on paper, in its own proportions. What surrounds it says them aloud. */
import { html } from "./vendor/htm-preact.js";
import { ratioValue } from "./deck.js";

/** @param {{type?: string, title: string, text?: string}} props */
export function Sheet({ type = "content", title, text = "" }) {
  return html`
    <span class=${`sheet sheet-${type}`} aria-hidden="true">
      <span class="sheet-title">${title}</span>
      ${text && html`<span class="sheet-text">${text}</span>`}
    </span>`;
}

/** What a grid of slides needs to know about their shape. @param {string} ratio */
export function gridStyle(ratio) {
  const value = ratioValue(ratio) ?? 16 / 9;
  return { "--ratio": value, "--card-min": `${Math.round(Math.min(300, Math.max(150, 170 * Math.sqrt(value) * 1.16)))}px` };
}
