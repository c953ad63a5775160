/** The slides as cards: waiting, being drawn, a picture, or why there is none. */
import { html, useState } from "./vendor/htm-preact.js";
import { retrySlides } from "./api.js";
import { ratioValue } from "./deck.js";
import { isFinal, slideState, wantsWords } from "./fold.js";
import { useNow } from "./follow.js";
import { formatSeconds, t } from "./i18n.js";
import { alterPlace, linkTo } from "./place.js";
import { Icon, useAction } from "./ui.js";

/** So many pictures are fetched at once; the others when they are scrolled to. */
const NEAR = 8;
/** How wide a card is, by the window; the browser takes the smallest copy that is sharp there. */
const CARD_SIZES = "(max-width: 600px) 88vw, (max-width: 900px) 45vw, 320px";

/** @typedef {import("./api.js").Slide} Slide @typedef {import("./api.js").Batch} Batch @typedef {import("./deck.js").Deck} Deck */

/** @param {{batch: Batch, draft: Deck | null, onBatch: (batch: Batch) => void}} props */
export function SlideGrid({ batch, draft, onBatch }) {
  return html`
    <ol class="grid" style=${gridStyle(batch.aspect_ratio)} aria-label=${t("run.grid")}>
      ${batch.results.map((slide, i) => html`<${SlideCard} key=${slide.slide_id} batch=${batch} draft=${draft} slide=${slide} onBatch=${onBatch} isNear=${i < NEAR} onOpen=${() => alterPlace({ slide: i + 1 })} />`)}
    </ol>`;
}

/** Why a slide failed: the first sentence of what the service says. @param {Slide} slide */
function failureWords(slide) {
  return /^.+?(?:。|\.(?=\s|$))/s.exec(slide.error_message ?? "")?.[0] ?? t("slide.unknown");
}

/** @param {{batch: Batch, draft: Deck | null, slide: Slide, isNear: boolean, onOpen: () => void, onBatch: (batch: Batch) => void}} props */
function SlideCard({ batch, draft, slide, isNear, onOpen, onBatch }) {
  const title = slide.title || t("slide.untitled");
  const label = t("slide.open", { n: slide.page_num, title, state: t(`slide.${slideState(slide)}`) });
  return html`
    <li class="card">
      <button type="button" class=${`frame is-${slideState(slide)}`} onClick=${onOpen}>
        <span class="unseen">${label}</span>
        <${Face} slide=${slide} sizes=${CARD_SIZES} loading=${isNear ? "eager" : "lazy"} />
      </button>
      <p class="caption">
        <span class="number">${slide.page_num}</span>
        <span class="caption-main">${title}</span>
        ${slide.status === "error" && !(batch.cancelled && !isFinal(batch))
          ? html`<${RetryButton} batch=${batch} slide=${slide} onBatch=${onBatch} />`
          : html`<span class=${`mark mark-${slideState(slide)}`}><${Mark} slide=${slide} /></span>`}
      </p>
      <${EditLink} class="quiet-link" draft=${draft} slide=${slide} />
    </li>`;
}

/** The page, 1-based, whose words may be why that slide is missing; 0 for none. @param {Deck | null} draft @param {Slide} slide */
export const findPage = (draft, slide) => (wantsWords(slide) && draft ? 1 + draft.pages.findIndex(({ id }) => id === slide.slide_id) : 0);

/** To a refused slide's words, if they are still here. @param {{class: string, draft: Deck | null, slide: Slide}} props */
export function EditLink({ class: className, draft, slide }) {
  const page = findPage(draft, slide);
  return page > 0 && html`<a class=${className} href=${linkTo({ page })}><${Icon} name="edit" />${t("slide.edit")}<span class="unseen"> ${slideName(slide)}</span></a>`;
}

/** @param {Slide} slide */
const slideName = (slide) => t("slide.named", { n: slide.page_num, title: slide.title || t("slide.untitled") });

/** @param {{batch: Batch, slide: Slide, onBatch: (batch: Batch) => void}} props */
function RetryButton({ batch, slide, onBatch }) {
  const action = useAction(onBatch);
  return html`
    <button type="button" class="mark-button" disabled=${action.busy}
      onClick=${() => action.run(() => retrySlides(batch.batch_id, [slide.slide_id]))}>
      <${Icon} name="again" />${t(action.problem ? "slide.retryAgain" : "slide.retry")}<span class="unseen"> ${slideName(slide)}</span>
    </button>
    ${action.problem && html`<span class="hint hint-bad" role="alert">${action.problem.message}</span>`}`;
}

/** @param {{slide: Slide & {retryAtMs?: number}}} props */
function Mark({ slide }) {
  const nowMs = useNow(slide.retryAtMs !== undefined);
  if (slide.retryAtMs > nowMs) return t("slide.retrying", { time: formatSeconds(Math.ceil((slide.retryAtMs - nowMs) / 1000)) });
  if (slide.status !== "done") return t(`slide.${slideState(slide)}`);
  if (slide.versions.length > 1) return t("slide.version", { n: slide.versions.find((one) => one.current)?.n });
  return slide.cached ? t("slide.cached") : formatSeconds(slide.generation_time ?? 0);
}

/** What a slide looks like now. @param {{slide: Slide, loading?: string, sizes?: string}} props As of Picture. */
export function Face({ slide, ...shown }) {
  const url = slide.image_url ?? slide.versions.at(-1)?.image_url;
  if (slide.status === "done" || (url && slide.status !== "error")) return html`<${Picture} key=${url} url=${url} ...${shown} />`;
  if (slide.status !== "error") return html`<${Sheet} title=${slide.title} />`;
  if (slideState(slide) === "cancelled") return html`<span class="failure"><${Icon} name="stop" /><span>${t("slide.cancelled")}</span></span>`;
  return html`
    <span class="failure">
      <${Icon} name="alert" />
      <span>${failureWords(slide)}</span>
      ${slide.error_code && html`<code>${slide.error_code}</code>`}
    </span>`;
}

/**
 * A finished picture; without `alt` its name stands on the button around it, with `sizes` a small copy will do.
 * @param {{url: string | null, alt?: string, loading?: string, sizes?: string}} props
 */
export function Picture({ url, alt = "", loading = "eager", sizes }) {
  const [lost, setLost] = useState(false);
  if (lost || !url) return html`<span class="failure"><${Icon} name="alert" /><span>${t("slide.lost")}</span></span>`;
  return html`<img sizes=${sizes} srcset=${sizes && [320, 640, 1280].map((px) => `${smallUrl(url, px)} ${px}w`)} src=${url} alt=${alt} loading=${loading} decoding="async" onError=${() => setLost(true)} />`;
}

/** A picture's copy; the service makes them 320, 640 and 1280 pixels wide. @param {string} url @param {number} px */
export const smallUrl = (url, px) => `${url}?w=${px}`;

/** A slide before it has a picture: its words on paper, in its own proportions. What surrounds it says them aloud. @param {{type?: string, title: string, text?: string}} props */
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
