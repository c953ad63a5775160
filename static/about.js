/** Everything known about one slide: how it was made, why it failed, its prompt, its log; and making it again. */
import { html } from "./vendor/htm-preact.js";
import { regenerateSlide, retrySlides } from "./api.js";
import { slideState } from "./fold.js";
import { EditLink, findPage } from "./grid.js";
import { formatCost, formatSeconds, t } from "./i18n.js";
import { SlideLog } from "./log.js";
import { Icon, ProblemNote, useAction } from "./ui.js";

/**
 * @typedef {import("./api.js").Batch} Batch
 * @typedef {import("./api.js").Slide} Slide
 * @param {{batch: Batch, draft: import("./deck.js").Deck | null, slide: Slide, number: number, onBatch: (batch: Batch) => void}} props
 */
export function About({ batch, draft, slide, number, onBatch }) {
  const title = slide.title || t("slide.untitled");
  return html`
    <div class="about" role="region" aria-label=${title} tabindex="0">
      <h3>${title}</h3>
      <p class=${`mark mark-${slideState(slide)}`} role="status">${t(`slide.${slideState(slide)}`)}${slide.cached && `, ${t("slide.cached")}`}</p>
      ${slide.status === "error" && html`<${Failure} slide=${slide} />`}
      ${slide.aspect_ratio_ok === false && html`<p class="soft">${t("viewer.wrongRatio")}</p>`}
      <${Wishes} batch=${batch} draft=${draft} slide=${slide} onBatch=${onBatch} />
      <${Table} slide=${slide} />
      ${slide.final_prompt && html`<h4>${t("viewer.prompt")}</h4><p class="prompt">${slide.final_prompt}</p>`}
      <${SlideLog} batch=${batch} number=${number} />
    </div>`;
}

function Wishes({ batch, draft, slide, onBatch }) {
  const action = useAction(onBatch);
  const failed = slide.status === "error";
  const editable = findPage(draft, slide) > 0;
  const again = () => (failed ? retrySlides(batch.batch_id, [slide.slide_id]) : regenerateSlide(batch.batch_id, slide.slide_id));
  return html`
    <p class="ways">
      <${EditLink} class="button button-main" draft=${draft} slide=${slide} />
      ${(failed || slide.status === "done") &&
      html`<button type="button" class=${failed && !editable ? "button button-main" : "button"} disabled=${action.busy} onClick=${() => action.run(again)}>
        <${Icon} name="again" />${t(failed ? "slide.retry" : "viewer.again")}
      </button>`}
      ${slide.image_url && html`<a class="button" href=${slide.image_url} download><${Icon} name="download" />${t("viewer.download")}</a>`}
    </p>
    ${editable && html`<p class="hint">${t(draft.anew ? "more.anewHint" : "run.again")}</p>`}
    ${action.problem && html`<${ProblemNote} error=${action.problem} />`}`;
}

function Table({ slide }) {
  const facts = [
    [t("viewer.time"), slide.generation_time === null ? null : formatSeconds(slide.generation_time)],
    [t("viewer.attempts"), slide.attempts || null],
    [t("viewer.provider"), slide.provider],
    [t("viewer.model"), slide.model],
    [t("viewer.size"), slide.width && slide.height ? `${slide.width} × ${slide.height}` : null],
    [t("viewer.cost"), slide.cost_usd > 0 ? formatCost(slide.cost_usd) : null],
  ].filter(([, value]) => value !== null && value !== undefined);
  return html`<dl class="table">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** @param {{slide: Slide}} props */
function Failure({ slide }) {
  return html`
    <div class=${slideState(slide) === "cancelled" ? "note" : "note note-bad"}>
      <${Icon} name="alert" />
      <div>
        <p>${slide.error_message ?? t("slide.unknown")}</p>
        <code>${slide.error_code}</code>
      </div>
    </div>`;
}
