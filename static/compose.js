/** The deck before it is made: its pages as a storyboard, how they should look, and the start. */
import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { startBatch } from "./api.js";
import { deckTitle, pagesToMake, ratioValue, toRequest } from "./deck.js";
import { t, tn } from "./i18n.js";
import { PageEditor } from "./page-editor.js";
import { goTo, linkTo } from "./place.js";
import { Settings } from "./settings.js";
import { gridStyle, Sheet } from "./sheet.js";
import { ProblemNote } from "./ui.js";

/**
 * @typedef {import("./deck.js").Deck} Deck
 * @param {{deck: Deck, onDeck: (change: (deck: Deck) => Deck) => void, onReplace: () => void}} props
 */
export function Compose({ deck, onDeck, onReplace }) {
  const [editing, setEditing] = useState(null);
  const change = (part) => onDeck((known) => ({ ...known, ...part }));
  const changePage = (index, part) =>
    onDeck((known) => ({ ...known, pages: known.pages.map((page, i) => (i === index ? { ...page, ...part } : page)) }));

  return html`
    <main tabindex="-1" class="compose">
      <${DeckHead} deck=${deck} onReplace=${onReplace} />
      <section class="board" aria-label=${t("deck.pageList")}>
        <ol class="grid" style=${gridStyle(deck.ratio)}>
          ${deck.pages.map((page, i) => html`<${PageCard} key=${i} page=${page} onOpen=${() => setEditing(i)} />`)}
        </ol>
      </section>
      <div class="side">
        <${Settings} deck=${deck} onChange=${change} />
        <${StartBar} deck=${deck} onStarted=${(batchId) => (change({ batchId }), goTo(batchId))} />
      </div>
      ${editing !== null &&
      html`<${PageEditor} pages=${deck.pages} index=${editing} onChange=${changePage} onMove=${setEditing}
        onClose=${() => setEditing(null)} />`}
    </main>`;
}

function DeckHead({ deck, onReplace }) {
  const leftOut = deck.pages.length - pagesToMake(deck).length;
  return html`
    <div class="deck-head">
      <div>
        <h1>${deckTitle(deck)}</h1>
        <p class="soft">
          ${tn("deck.pages", deck.pages.length)}${leftOut > 0 && ` · ${tn("deck.leftOut", leftOut)}`}
          <span class="wide-only"> · ${t("deck.hint")}</span>
        </p>
      </div>
      <p class="ways">
        ${deck.batchId && html`<a class="button" href=${linkTo(deck.batchId)}>${t("deck.seePictures")}</a>`}
        <button type="button" class="button" onClick=${onReplace}>${t("deck.replace")}</button>
      </p>
    </div>`;
}

function PageCard({ page, onOpen }) {
  const label = t("deck.editPage", { n: page.page_num, title: page.title || t("slide.untitled") });
  return html`
    <li class=${`card ${page.leftOut ? "card-out" : ""}`}>
      <button type="button" class="frame" onClick=${onOpen}>
        <span class="unseen">${label}</span>
        <${Sheet} type=${page.type} title=${page.title} text=${page.content_text} />
      </button>
      <p class="caption">
        <span class="number">${page.page_num}</span>
        <span class="caption-main">${page.visual_desc || t(`type.${page.type}`)}</span>
        ${page.leftOut && html`<span class="tag">${t("deck.pageLeftOut")}</span>`}
      </p>
    </li>`;
}

function StartBar({ deck, onStarted }) {
  const [sending, setSending] = useState(false);
  const [problem, setProblem] = useState(null);
  const sent = useRef({ body: "", key: "" });
  useEffect(() => setProblem(null), [deck]);
  const count = pagesToMake(deck).length;
  const startable = count > 0 && ratioValue(deck.ratio) !== null;

  async function start() {
    const body = toRequest(deck);
    if (sent.current.body !== body) sent.current = { body, key: newKey() };
    setSending(true);
    setProblem(null);
    try {
      const batch = await startBatch(body, sent.current.key);
      onStarted(batch.batch_id);
    } catch (error) {
      setProblem(error);
      setSending(false);
    }
  }
  return html`
    <div class="start-bar">
      ${problem && html`<${ProblemNote} title=${t("start.failed")} error=${problem} />`}
      ${count === 0 && html`<p class="soft">${t("start.nothing")}</p>`}
      <button type="button" class="button button-main button-wide" disabled=${!startable || sending} onClick=${start}>
        ${sending ? t("start.sending") : tn("start.button", count)}
      </button>
    </div>`;
}

/** An idempotency key. `crypto.randomUUID` is missing on plain-http pages of other hosts; this is not. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
