/** How the deck should look and how fast it is made: style, shape, pages at the same time. */
import { html, useState } from "./vendor/htm-preact.js";
import { budgetValue, pagesToMake, ratioValue } from "./deck.js";
import { t } from "./i18n.js";

/** @typedef {import("./deck.js").Deck} Deck */

const RATIOS = ["16:9", "4:3", "1:1", "9:16"];
/** A preset's name and prompt are `preset.<id>` and `prompt.<id>`. */
const PRESETS = ["paper", "business", "night", "ink", "swiss", "clay", "sketch"];

/** @param {{deck: Deck, onChange: (part: Partial<Deck>) => void}} props */
export function Settings({ deck, onChange }) {
  return html`
    <section class="settings" aria-labelledby="settings-heading">
      <h2 id="settings-heading" class="unseen">${t("settings.heading")}</h2>
      <${StyleChoice} deck=${deck} onChange=${onChange} />
      <${RatioChoice} ratio=${deck.ratio} onChange=${onChange} />
      <${WorkersChoice} workers=${deck.workers} onChange=${onChange} />
      <${More} deck=${deck} onChange=${onChange} />
    </section>`;
}

function StyleChoice({ deck, onChange }) {
  const choices = PRESETS.map((id) => ({ id, name: t(`preset.${id}`), prompt: t(`prompt.${id}`) }));
  if (deck.deckStyle) choices.unshift({ id: "deck", name: t("style.fromDeck"), prompt: deck.deckStyle });
  return html`
    <fieldset>
      <legend>${t("style.heading")}</legend>
      <div class="presets">
        ${choices.map(
          ({ id, name, prompt }) => html`
            <label class="preset" key=${id}>
              <input type="radio" name="style" checked=${deck.preset ? deck.preset === id : deck.style === prompt} onChange=${() => onChange({ style: prompt, preset: id })} />
              <${Swatch} colours=${coloursIn(prompt)} />
              <span>${name}</span>
            </label>`,
        )}
      </div>
      <label for="style-prompt">${t("style.prompt")}</label>
      <textarea id="style-prompt" rows="3" value=${deck.style} aria-describedby="style-hint"
        onInput=${(event) => onChange({ style: event.target.value, preset: null })}></textarea>
      <p class="hint" id="style-hint">${t("style.promptHint")}</p>
    </fieldset>`;
}

/** A slide of three colours: ground, title, accent. */
function Swatch({ colours }) {
  const [ground = "", ink = "", accent = ""] = colours;
  return html`
    <svg class="swatch" viewBox="0 0 48 27" aria-hidden="true" focusable="false">
      <rect width="48" height="27" style=${{ fill: ground }} />
      <path d="M6 9h17M6 14h11" style=${{ stroke: ink }} />
      <circle cx="36" cy="15" r="6" style=${{ fill: accent }} />
    </svg>`;
}

/** The first two colours a style names, and its last: that is mostly the accent. @param {string} style */
function coloursIn(style) {
  const [ground, ink, ...more] = style.match(/#[0-9a-f]{6}\b/gi) ?? [];
  return [ground, ink, more.at(-1)];
}

function RatioChoice({ ratio, onChange }) {
  const [other, setOther] = useState(!RATIOS.includes(ratio));
  const take = (value) => (setOther(false), onChange({ ratio: value }));
  const valid = ratioValue(ratio) !== null;
  return html`
    <fieldset>
      <legend>${t("ratio.heading")}</legend>
      <div class="ratios">
        ${RATIOS.map(
          (value) => html`
            <label class="ratio" key=${value}>
              <input type="radio" name="ratio" checked=${!other && ratio === value} onChange=${() => take(value)} />
              <span class="ratio-shape" style=${{ "--shape": ratioValue(value) }}></span>
              <span>${value}</span>
            </label>`,
        )}
        <label class="ratio">
          <input type="radio" name="ratio" checked=${other} onChange=${() => setOther(true)} />
          <span class="ratio-shape ratio-any"></span>
          <span>${t("ratio.other")}</span>
        </label>
      </div>
      ${other &&
      html`
        <label for="ratio-value">${t("ratio.value")}</label>
        <input id="ratio-value" type="text" inputmode="text" autocomplete="off" value=${ratio} aria-invalid=${!valid}
          aria-describedby=${valid ? null : "ratio-wrong"} onInput=${(event) => onChange({ ratio: event.target.value.replace("：", ":") })} />
        ${!valid && html`<p class="hint hint-bad" id="ratio-wrong">${t("ratio.invalid")}</p>`}
      `}
    </fieldset>`;
}

function WorkersChoice({ workers, onChange }) {
  const take = (event) => onChange({ workers: Number(event.target.value) });
  return html`
    <div class="workers">
      <label for="workers">${t("workers.label")}</label>
      <output for="workers">${workers}</output>
      <input id="workers" type="range" min="1" max="10" step="1" value=${workers} aria-describedby="workers-hint" onInput=${take} />
      <p class="hint" id="workers-hint">${t("workers.hint")}</p>
    </div>`;
}

/** What opens below the edge of the panel comes into view. @param {MouseEvent} event */
function showWhole({ target }) {
  setTimeout(() => target.parentElement.scrollIntoView({ block: "nearest" }));
}

/** What one may leave alone: a limit of the cost, and one look for all. */
function More({ deck, onChange }) {
  const wrong = Number.isNaN(budgetValue(deck));
  const hasCover = pagesToMake(deck).some((page) => page.type === "cover");
  return html`
    <details class="extras" open=${deck.coverLeads || Boolean(deck.budget || deck.anew)}>
      <summary onClick=${showWhole}>${t("more.heading")}</summary>
      ${hasCover &&
      html`<label class="check">
        <input type="checkbox" checked=${deck.coverLeads} onChange=${(event) => onChange({ coverLeads: event.target.checked })} />
        ${t("more.coverLeads")}
      </label>`}
      <label for="budget">${t("more.budget")}</label>
      <input id="budget" type="text" inputmode="decimal" autocomplete="off" value=${deck.budget} aria-invalid=${wrong}
        aria-describedby="budget-hint" onInput=${(event) => onChange({ budget: event.target.value })} />
      <p class=${wrong ? "hint hint-bad" : "hint"} id="budget-hint">${t(wrong ? "more.budgetWrong" : "more.budgetHint")}</p>
      <label class="check">
        <input type="checkbox" checked=${deck.anew} aria-describedby="anew-hint" onChange=${(event) => onChange({ anew: event.target.checked })} />
        ${t("more.anew")}
      </label>
      <p class="hint" id="anew-hint">${t("more.anewHint")}</p>
    </details>`;
}
