/** The start page's drawing: one text, many threads, all slides at once. */
import { html } from "./vendor/htm-preact.js";

const ROWS = [20, 92, 164, 236];

/** @param {{y: number, i: number}} props */
const Thread = ({ y, i }) => html`<path class=${`thread thread-${i}`} d=${`M112 ${118 + i * 22} C 210 ${118 + i * 22}, 190 ${y + 30}, 286 ${y + 30}`} />`;

const PICTURES = [
  html`<circle class="art-c" cx="76" cy="20" r="9" /><path class="art-b" d="M0 60V44l26-20 22 17 14-9 42 28z" />`,
  html`<path class="art-b" d="M16 48V34h12v14zM36 48V24h12v24z" /><path class="art-c" d="M56 48V14h12v34z" /><path class="art-b" d="M76 48V28h12v20z" />`,
  html`<path class="art-line" d="M12 40c14-26 26 8 40-12s20-2 40-14" /><circle class="art-c" cx="52" cy="28" r="5" />`,
  html`<circle class="art-ring" cx="52" cy="30" r="16" /><path class="art-arc" d="M52 14a16 16 0 0 1 14 24" />`,
];

export function LoomDrawing() {
  return html`
    <svg class="loom" viewBox="0 0 400 316" aria-hidden="true" focusable="false">
      <rect class="leaf" x="14" y="78" width="98" height="148" rx="8" />
      <path class="leaf-title" d="M30 102h44" />
      <path class="leaf-lines" d="M30 122h66M30 136h58M30 150h64M30 172h40M30 186h62M30 200h50" />
      ${ROWS.map((y, i) => html`<${Thread} y=${y} i=${i} />`)}
      ${ROWS.map(
        (y, i) => html`
          <g transform=${`translate(286 ${y})`} class=${`pane pane-${i}`}>
            <rect class="pane-ground" width="104" height="60" rx="7" />
            ${PICTURES[i]}
            <rect class="pane-edge" width="104" height="60" rx="7" />
          </g>`,
      )}
    </svg>`;
}
