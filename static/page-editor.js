/** One page's words, in a dialog: title, text, picture, kind, and whether it is made at all. */
import { html } from "./vendor/htm-preact.js";
import { t } from "./i18n.js";
import { Dialog, IconButton } from "./ui.js";

const TYPES = ["cover", "content", "ending"];

/**
 * @typedef {import("./deck.js").Page} Page
 * @param {{pages: Page[], index: number, onChange: (index: number, part: Partial<Page>) => void,
 *   onMove: (index: number) => void, onClose: () => void}} props
 */
export function PageEditor({ pages, index, onChange, onMove, onClose }) {
  const page = pages[index];
  const heading = t("page.heading", { n: index + 1, total: pages.length });
  const set = (field) => (event) => onChange(index, { [field]: event.target.value });
  return html`
    <${Dialog} class="editor" label=${heading} onClose=${onClose}>
      <header class="dialog-head">
        <h2>${heading}</h2>
        <${IconButton} icon="left" label=${t("page.previous")} disabled=${index === 0} onClick=${() => onMove(index - 1)} />
        <${IconButton} icon="right" label=${t("page.next")} disabled=${index === pages.length - 1} onClick=${() => onMove(index + 1)} />
      </header>
      <div class="dialog-body">
        <div class="field">
          <label for="page-title">${t("page.title")}</label>
          <input id="page-title" type="text" class="title-input" value=${page.title} onInput=${set("title")} />
        </div>
        <div class="field">
          <label for="page-text">${t("page.text")}</label>
          <textarea id="page-text" rows="6" value=${page.content_text} aria-describedby="page-text-hint" onInput=${set("content_text")}></textarea>
          <p class="hint" id="page-text-hint">${t("page.textHint")}</p>
        </div>
        <div class="field">
          <label for="page-visual">${t("page.visual")}</label>
          <textarea id="page-visual" rows="3" value=${page.visual_desc} aria-describedby="page-visual-hint" onInput=${set("visual_desc")}></textarea>
          <p class="hint" id="page-visual-hint">${t("page.visualHint")}</p>
        </div>
        <${KindChoice} type=${page.type} onChange=${set("type")} />
      </div>
      <footer class="dialog-foot">
        <label class="check">
          <input type="checkbox" checked=${page.leftOut} onChange=${(event) => onChange(index, { leftOut: event.target.checked })} />
          ${t("page.leaveOut")}
        </label>
        <button type="button" class="button button-main" onClick=${onClose}>${t("page.done")}</button>
      </footer>
    <//>`;
}

function KindChoice({ type, onChange }) {
  return html`
    <fieldset class="kinds">
      <legend>${t("page.type")}</legend>
      ${TYPES.map(
        (kind) => html`
          <label class="kind" key=${kind}>
            <input type="radio" name="kind" value=${kind} checked=${kind === type} onChange=${onChange} />
            <span>${t(`type.${kind}`)}</span>
          </label>`,
      )}
    </fieldset>`;
}
