/** The slides as cards: waiting, being drawn, a picture, or why there is none. */
import { html, useState } from "./vendor/htm-preact.js";
import { formatSeconds } from "./format.js";
import { hasWords, t } from "./i18n.js";
import { showSlide } from "./place.js";
import { gridStyle, Sheet } from "./sheet.js";
import { Icon } from "./ui.js";

/** @typedef {import("./api.js").Slide} Slide */

/** @param {{batch: import("./api.js").Batch}} props */
export function SlideGrid({ batch }) {
  return html`
    <ol class="grid" style=${gridStyle(batchRatio(batch))} aria-label=${t("run.grid")}>
      ${batch.results.map((slide, i) => html`<${SlideCard} key=${slide.slide_id} slide=${slide} onOpen=${() => showSlide(i + 1)} />`)}
    </ol>`;
}

/** The shape that was asked for, or else that of a finished picture. @param {import("./api.js").Batch} batch */
export function batchRatio(batch) {
  const made = batch.results.find((slide) => slide.width && slide.height);
  return batch.aspect_ratio ?? (made ? `${made.width}:${made.height}` : "16:9");
}

/** Why a slide failed, in the page's language. @param {Slide} slide */
export function failureWords(slide) {
  const key = `code.${slide.error_code}`;
  return t(hasWords(key) ? key : "code.unknown");
}

/** @param {{slide: Slide, onOpen: () => void}} props */
function SlideCard({ slide, onOpen }) {
  const title = slide.title || t("slide.untitled");
  const label = t("slide.open", { n: slide.page_num, title, state: t(`slide.${slide.status}`) });
  return html`
    <li class="card">
      <button type="button" class=${`frame is-${slide.status}`} onClick=${onOpen}>
        <span class="unseen">${label}</span>
        <${Face} slide=${slide} />
      </button>
      <p class="caption">
        <span class="number">${slide.page_num}</span>
        <span class="caption-main">${title}</span>
        <span class=${`mark mark-${slide.status}`}>${cardMark(slide)}</span>
      </p>
    </li>`;
}

/** @param {Slide} slide */
function cardMark(slide) {
  if (slide.status !== "done") return t(`slide.${slide.status}`);
  return slide.cached ? t("slide.cached") : formatSeconds(slide.generation_time ?? 0);
}

/** What a slide looks like now. @param {{slide: Slide}} props */
export function Face({ slide }) {
  if (slide.status === "done") return html`<${Picture} key=${slide.image_url} url=${slide.image_url} />`;
  if (slide.status !== "error") return html`<${Sheet} title=${slide.title} />`;
  return html`
    <span class="failure">
      <${Icon} name="alert" />
      <span>${failureWords(slide)}</span>
      ${slide.error_code && html`<code>${slide.error_code}</code>`}
    </span>`;
}

/** A finished picture; its name stands on the button or heading around it. @param {{url: string | null}} props */
export function Picture({ url, alt = "" }) {
  const [lost, setLost] = useState(false);
  if (lost || !url) return html`<span class="failure"><${Icon} name="alert" /><span>${t("slide.lost")}</span></span>`;
  return html`<img src=${url} alt=${alt} decoding="async" onError=${() => setLost(true)} />`;
}
