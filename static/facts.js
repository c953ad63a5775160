/** How far a deck is, in figures and as threads. */
import { html } from "./vendor/htm-preact.js";
import { countStopped, isFinal, slideState } from "./fold.js";
import { useNow } from "./follow.js";
import { formatClock, formatCost, formatSeconds, t } from "./i18n.js";
import { Icon } from "./ui.js";

/** @typedef {import("./api.js").Batch} Batch */

/** One thread for each slide, in page order. @param {{batch: Batch}} props */
export function Weave({ batch }) {
  return html`
    <div class="weave" style=${{ "--count": batch.results.length }} role="progressbar" aria-label=${t("run.progress")} aria-valuemin="0" aria-valuemax="100"
      aria-valuenow=${Math.round(batch.progress * 100)}>
      ${batch.results.map((slide) => html`<span key=${slide.slide_id} class=${`thread-bit is-${slideState(slide)}`}></span>`)}
    </div>`;
}

/** @param {{watched: import("./follow.js").Watched}} props */
export function Facts({ watched }) {
  const { batch } = watched;
  const ended = isFinal(batch);
  const nowMs = useNow(!ended);
  const state = stateWord(batch);
  return html`
    <div class="facts">
      <p class=${`state state-${state}`}>${state === "completed" && html`<${Icon} name="check" />`}${t(`status.${state}`)}</p>
      <dl>
        ${figures(watched, ended, nowMs).map(([name, value, tone]) => html`<div key=${name} class=${tone ? `fact fact-${tone}` : "fact"}><dt>${name}</dt><dd>${value}</dd></div>`)}
      </dl>
    </div>`;
}

/** @param {import("./follow.js").Watched} watched @param {boolean} ended @param {number} nowMs */
function figures({ batch, workedS, workedAtMs, toldAtMs }, ended, nowMs) {
  const left = batch.estimated_remaining_time;
  const stopped = countStopped(batch);
  const leftS = left === null ? null : Math.max(1, Math.round(left - (nowMs - toldAtMs) / 1000));
  return [
    [t("run.done"), t("run.ofTotal", { n: batch.successful, total: batch.total_slides })],
    batch.failed > stopped && [t("run.errors"), batch.failed - stopped, "bad"],
    stopped > 0 && [t("slide.cancelled"), stopped],
    !ended && leftS !== null && [t("run.left"), formatSeconds(leftS)],
    ended ? [t("run.took"), formatSeconds(batch.total_time)] : [t("run.elapsed"), formatClock(workedS + (nowMs - workedAtMs) / 1000)],
    batch.cost_usd > 0 && [t("run.cost"), formatCost(batch.cost_usd)],
  ].filter(Boolean);
}

/** @param {Batch} batch */
export function stateWord(batch) {
  if (batch.cancelled) return "cancelled";
  return batch.status === "completed" && batch.failed > 0 ? "partly" : batch.status;
}
