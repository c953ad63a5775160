/** One slide large, with everything known about how it was made. Arrow keys go to its neighbours. */
import { html } from "./vendor/htm-preact.js";
import { formatCost, formatSeconds } from "./format.js";
import { batchRatio, Face, failureWords, Picture } from "./grid.js";
import { t } from "./i18n.js";
import { gridStyle } from "./sheet.js";
import { Dialog, Icon, IconButton } from "./ui.js";

/**
 * @typedef {import("./api.js").Slide} Slide
 * @param {{batch: import("./api.js").Batch, number: number, onMove: (number: number) => void, onClose: () => void}} props
 */
export function Viewer({ batch, number, onMove, onClose }) {
  const slide = batch.results[number - 1];
  const total = batch.results.length;
  const heading = t("viewer.heading", { n: number, total });
  const move = (target) => target >= 1 && target <= total && onMove(target);
  const keys = { ArrowLeft: number - 1, ArrowRight: number + 1, Home: 1, End: total };
  const followKey = (event) => event.key in keys && (event.preventDefault(), move(keys[event.key]));
  return html`
    <${Dialog} class="viewer" label=${heading} onClose=${onClose} onKeyDown=${followKey}>
      <header class="dialog-head">
        <h2>${heading}</h2>
        <${IconButton} icon="left" label=${t("viewer.previous")} disabled=${number === 1} onClick=${() => move(number - 1)} />
        <${IconButton} icon="right" label=${t("viewer.next")} disabled=${number === total} onClick=${() => move(number + 1)} />
        <${IconButton} icon="close" label=${t("viewer.close")} onClick=${onClose} />
      </header>
      <div class="viewer-body" key=${slide.slide_id}>
        <div class="stage" style=${gridStyle(batchRatio(batch))}><${Stage} slide=${slide} /></div>
        <${About} slide=${slide} />
      </div>
    <//>`;
}

/** @param {{slide: Slide}} props */
function Stage({ slide }) {
  if (slide.status === "done") return html`<${Picture} url=${slide.image_url} alt=${slide.title} />`;
  return html`<div class=${`frame is-${slide.status}`}><${Face} slide=${slide} /></div>`;
}

/** @param {{slide: Slide}} props */
function About({ slide }) {
  const size = slide.width && slide.height ? `${slide.width} × ${slide.height}` : null;
  const facts = [
    [t("viewer.time"), slide.generation_time === null ? null : formatSeconds(slide.generation_time)],
    [t("viewer.attempts"), slide.attempts || null],
    [t("viewer.provider"), slide.provider],
    [t("viewer.model"), slide.model],
    [t("viewer.size"), size],
    [t("viewer.cost"), slide.cost_usd > 0 ? formatCost(slide.cost_usd) : null],
  ].filter(([, value]) => value !== null && value !== undefined);
  return html`
    <div class="about" role="region" aria-label=${slide.title || t("slide.untitled")} tabindex="0">
      <h3>${slide.title || t("slide.untitled")}</h3>
      <p class=${`mark mark-${slide.status}`}>${t(`slide.${slide.status}`)}${slide.cached && `, ${t("slide.cached")}`}</p>
      ${slide.status === "error" && html`<${Failure} slide=${slide} />`}
      ${slide.aspect_ratio_ok === false && html`<p class="soft">${t("viewer.wrongRatio")}</p>`}
      ${slide.image_url &&
      html`<a class="button" href=${slide.image_url} download><${Icon} name="download" />${t("viewer.download")}</a>`}
      <dl class="table">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
      ${slide.final_prompt && html`<h4>${t("viewer.prompt")}</h4><p class="prompt">${slide.final_prompt}</p>`}
    </div>`;
}

/** @param {{slide: Slide}} props */
function Failure({ slide }) {
  return html`
    <div class="note note-bad">
      <${Icon} name="alert" />
      <div>
        <strong>${failureWords(slide)}</strong>
        ${slide.error_message && html`<p><span class="unseen">${t("viewer.said")}: </span>${slide.error_message}</p>`}
        <code>${slide.error_code}</code>
      </div>
    </div>`;
}
