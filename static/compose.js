/** The deck before it is made: its pages as a storyboard, how they should look, and the start. */
import { html } from "./vendor/htm-preact.js";
import { deckTitle, isBlank, pagesToMake } from "./deck.js";
import { gridStyle, Sheet } from "./grid.js";
import { t, tn } from "./i18n.js";
import { PageEditor } from "./page-editor.js";
import { alterPlace, goTo, linkTo } from "./place.js";
import { Settings } from "./settings.js";
import { StartBar } from "./start.js";

/**
 * @typedef {import("./deck.js").Deck} Deck
 * @param {{deck: Deck, editing: number | null, onDeck: (change: (deck: Deck) => Deck) => void}} props editing: a page, 1-based.
 */
export function Compose({ deck, editing, onDeck }) {
  const change = (part) => onDeck((known) => ({ ...known, ...part }));
  const changePage = (index, part) =>
    onDeck((known) => ({ ...known, pages: known.pages.map((page, i) => (i === index ? { ...page, ...part } : page)) }));

  return html`
    <main tabindex="-1" class="compose">
      <${DeckHead} deck=${deck} />
      <section class="board" aria-label=${t("deck.pageList")}>
        <ol class="grid" style=${gridStyle(deck.ratio)}>
          ${deck.pages.map((page, i) => html`<${PageCard} key=${i} page=${page} onOpen=${() => alterPlace({ page: i + 1 })} />`)}
        </ol>
      </section>
      <div class="side">
        <${Settings} deck=${deck} onChange=${change} />
        <${StartBar} deck=${deck} onStarted=${(batchId) => (change({ batchId }), goTo({ batch: batchId }))} />
      </div>
      ${editing &&
      deck.pages[editing - 1] &&
      html`<${PageEditor} pages=${deck.pages} index=${editing - 1} onChange=${changePage} onMove=${(index) => alterPlace({ page: index + 1 })}
        onClose=${() => alterPlace({ page: null })} />`}
    </main>`;
}

function DeckHead({ deck }) {
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
        ${deck.batchId && html`<a class="button" href=${linkTo({ batch: deck.batchId })}>${t("deck.seePictures")}</a>`}
        <a class="button" href=${linkTo({ view: "new" })}>${t("deck.replace")}</a>
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
        ${(page.leftOut || isBlank(page)) && html`<span class="tag">${t(page.leftOut ? "deck.pageLeftOut" : "deck.pageBlank")}</span>`}
      </p>
    </li>`;
}
