/** The start page: bring a deck by dropping, choosing or pasting it, or take the example. */
import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { fetchExample, Unreachable } from "./api.js";
import { deckTitle, parseDeck, readFile, UnreadableDeck } from "./deck.js";
import { t } from "./i18n.js";
import { linkTo } from "./place.js";
import { Icon, ProblemNote } from "./ui.js";

const ACCEPTED = ".json,.md,.markdown,.txt,application/json,text/markdown,text/plain";
const JSON_SAMPLE = `{
  "slides": [
    { "type": "cover", "title": "…", "content_text": "…" },
    { "title": "…", "visual_desc": "…" }
  ],
  "style_prompt": "…",
  "aspect_ratio": "16:9",
  "max_workers": 3
}`;

/**
 * @typedef {import("./deck.js").Deck} Deck
 * @param {{known: Deck | null, onDeck: (deck: Deck) => void}} props known: the deck one can go back to.
 */
export function Intake({ known, onDeck }) {
  const [problem, setProblem] = useState(null);
  const [pasting, setPasting] = useState(false);

  /** @param {() => string | Promise<string>} bring */
  async function read(bring) {
    try {
      onDeck(parseDeck(await bring()));
    } catch (error) {
      if (!(error instanceof UnreadableDeck || error instanceof Unreachable)) throw error;
      setProblem(error);
    }
  }
  usePastedText((text) => read(() => text));
  const dragging = useDroppedFile((file) => read(() => readFile(file)));
  const takeExample = () => read(fetchExample);

  return html`
    <main tabindex="-1" class="intake">
      <div class="hero">
        <div>
          <h1>${t("intake.heading")}</h1>
          <p class="lead">${t("intake.lead")}</p>
        </div>
        <${LoomDrawing} />
      </div>
      <section class=${`dropzone ${dragging ? "dropzone-over" : ""}`}>
        ${pasting
          ? html`<${PasteForm} onRead=${(text) => read(() => text)} onBack=${() => setPasting(false)} />`
          : html`<${Ways} dragging=${dragging} onFile=${(file) => read(() => readFile(file))}
              onPaste=${() => setPasting(true)} onExample=${takeExample} />`}
        ${problem && html`<${ProblemNote} error=${problem} />`}
      </section>
      ${known && html`<p><a class="quiet-link" href=${linkTo()}><${Icon} name="left" />${t("intake.keep", { title: deckTitle(known) })}</a></p>`}
      <div class="formats">
        <${Format} name="Markdown" hint=${t("intake.markdown")} sample=${t("intake.placeholder")} />
        <${Format} name="JSON" hint=${t("intake.json")} sample=${JSON_SAMPLE} />
      </div>
    </main>`;
}

function Format({ name, hint, sample }) {
  return html`
    <section class="format">
      <h2>${name}</h2>
      <p class="soft">${hint}</p>
      <pre><code>${sample}</code></pre>
    </section>`;
}

function Ways({ dragging, onFile, onPaste, onExample }) {
  const input = useRef(null);
  const take = () => {
    const [file] = input.current.files;
    input.current.value = "";
    if (file) onFile(file);
  };
  return html`
    <p class="drop-word">${t(dragging ? "intake.release" : "intake.drop")}</p>
    <div class="ways">
      <input ref=${input} type="file" accept=${ACCEPTED} hidden onChange=${take} />
      <button type="button" class="button button-main" onClick=${() => input.current.click()}>
        <${Icon} name="file" />${t("intake.choose")}
      </button>
      <button type="button" class="button" onClick=${onPaste}><${Icon} name="paste" />${t("intake.paste")}</button>
      <button type="button" class="button" onClick=${onExample}><${Icon} name="spark" />${t("intake.example")}</button>
    </div>`;
}

function PasteForm({ onRead, onBack }) {
  const field = useRef(null);
  useEffect(() => field.current.focus(), []);
  const submit = (event) => {
    event.preventDefault();
    onRead(field.current.value);
  };
  return html`
    <form class="paste" onSubmit=${submit}>
      <label for="pasted">${t("intake.pasteLabel")}</label>
      <textarea id="pasted" ref=${field} rows="12" spellcheck="false" placeholder=${t("intake.placeholder")}></textarea>
      <div class="ways">
        <button type="submit" class="button button-main">${t("intake.read")}</button>
        <button type="button" class="button" onClick=${onBack}>${t("intake.back")}</button>
      </div>
    </form>`;
}

/** Text pasted anywhere but into a field. @param {(text: string) => void} onText */
function usePastedText(onText) {
  useEffect(() => {
    const paste = (event) => {
      const text = event.clipboardData.getData("text/plain");
      if (text.trim() && !event.target.closest?.("textarea, input, dialog")) onText(text);
    };
    addEventListener("paste", paste);
    return () => removeEventListener("paste", paste);
  });
}

/**
 * A file dropped anywhere on the page.
 * @param {(file: File) => void} onFile
 * @returns {boolean} Whether one is being dragged over the page.
 */
function useDroppedFile(onFile) {
  const [depth, setDepth] = useState(0);
  useEffect(() => {
    const hold = (event) => event.preventDefault();
    const enter = () => setDepth((n) => n + 1);
    const leave = () => setDepth((n) => Math.max(0, n - 1));
    const drop = (event) => {
      event.preventDefault();
      setDepth(0);
      const [file] = event.dataTransfer.files;
      if (file) onFile(file);
    };
    const handlers = { dragover: hold, dragenter: enter, dragleave: leave, drop };
    Object.entries(handlers).forEach(([name, handler]) => addEventListener(name, handler));
    return () => Object.entries(handlers).forEach(([name, handler]) => removeEventListener(name, handler));
  });
  return depth > 0;
}

const ROWS = [20, 92, 164, 236];

/** @param {{y: number, i: number}} props */
const Thread = ({ y, i }) => html`<path class=${`thread thread-${i}`} d=${`M112 ${118 + i * 22} C 210 ${118 + i * 22}, 190 ${y + 30}, 286 ${y + 30}`} />`;

const PICTURES = [
  html`<circle class="art-c" cx="76" cy="20" r="9" /><path class="art-b" d="M0 60V44l26-20 22 17 14-9 42 28z" />`,
  html`<path class="art-b" d="M16 48V34h12v14zM36 48V24h12v24z" /><path class="art-c" d="M56 48V14h12v34z" /><path class="art-b" d="M76 48V28h12v20z" />`,
  html`<path class="art-line" d="M12 40c14-26 26 8 40-12s20-2 40-14" /><circle class="art-c" cx="52" cy="28" r="5" />`,
  html`<circle class="art-ring" cx="52" cy="30" r="16" /><path class="art-arc" d="M52 14a16 16 0 0 1 14 24" />`,
];

/** One text, many threads, all slides at once. */
function LoomDrawing() {
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
