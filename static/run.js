/** A deck in the making, or made: how far it is, and its slides as they come. */
import { html, useEffect } from "./vendor/htm-preact.js";
import { logsUrl } from "./api.js";
import { formatClock, formatCost, formatSeconds } from "./format.js";
import { SlideGrid } from "./grid.js";
import { t, tn } from "./i18n.js";
import { linkTo, showSlide } from "./place.js";
import { Icon } from "./ui.js";
import { Viewer } from "./viewer.js";
import { isFinal, useBatch, useNow } from "./watch.js";

/** @param {{batchId: string, slide: number | null, draftMadeIt: boolean}} props draftMadeIt: the deck is still here to edit. */
export function Run({ batchId, slide, draftMadeIt }) {
  const watched = useBatch(batchId);
  const { batch } = watched;
  useTitle(batch);
  if (watched.missing) return html`<${Missing} />`;
  if (!batch) return html`<main tabindex="-1" class="run"><p class="soft" role="status">${t("run.loading")}</p></main>`;
  const open = slide !== null && batch.results[slide - 1] ? slide : null;
  return html`
    <main tabindex="-1" class="run">
      <h1>${batchTitle(batch)}</h1>
      <div class="run-head">
        <${Weave} batch=${batch} />
        <${Facts} watched=${watched} />
      </div>
      <${Gaps} batch=${batch} draftMadeIt=${draftMadeIt} />
      <${SlideGrid} batch=${batch} />
      <p class="run-foot">
        ${draftMadeIt && html`<a class="button" href=${linkTo(null)}>${t("run.backToDeck")}</a>`}
        <a class="quiet-link" href=${logsUrl(batch.session_id)} target="_blank" rel="noopener">${t("run.log")}</a>
      </p>
      <p class="unseen" role="status">${announcement(batch)}</p>
      ${open && html`<${Viewer} batch=${batch} number=${open} onMove=${showSlide} onClose=${() => showSlide(null)} />`}
    </main>`;
}

/** @param {import("./api.js").Batch} batch */
function batchTitle(batch) {
  return batch.results.find((slide) => slide.title)?.title ?? t("deck.untitled");
}

/** One thread for each slide, in page order. */
function Weave({ batch }) {
  return html`
    <div class="weave" style=${{ "--count": batch.results.length }} role="progressbar" aria-label=${t("run.progress")} aria-valuemin="0" aria-valuemax="100"
      aria-valuenow=${Math.round(batch.progress * 100)}>
      ${batch.results.map((slide) => html`<span key=${slide.slide_id} class=${`thread-bit is-${slide.status}`}></span>`)}
    </div>`;
}

function Facts({ watched: { batch, startedMs, readMs } }) {
  const ended = isFinal(batch);
  const nowMs = useNow(!ended);
  const left = batch.estimated_remaining_time;
  const secondsLeft = left === null ? null : Math.max(1, left - (nowMs - readMs) / 1000);
  const facts = [
    [t("run.done"), t("run.ofTotal", { n: batch.successful, total: batch.total_slides })],
    batch.failed > 0 && [t("run.errors"), batch.failed, "bad"],
    !ended && secondsLeft !== null && [t("run.left"), formatSeconds(Math.max(1, Math.round(secondsLeft)))],
    ended && batch.total_time !== null && [t("run.took"), formatSeconds(batch.total_time)],
    !ended && [t("run.elapsed"), formatClock((nowMs - startedMs) / 1000)],
    batch.cost_usd > 0 && [t("run.cost"), formatCost(batch.cost_usd)],
  ].filter(Boolean);
  return html`
    <div class="facts">
      <p class=${`state state-${stateWord(batch)}`}>${t(`status.${stateWord(batch)}`)}</p>
      <dl>
        ${facts.map(([name, value, tone]) => html`<div key=${name} class=${tone ? `fact fact-${tone}` : "fact"}><dt>${name}</dt><dd>${value}</dd></div>`)}
      </dl>
    </div>`;
}

/** @param {import("./api.js").Batch} batch */
function stateWord(batch) {
  if (batch.cancelled) return "cancelled";
  return batch.status === "completed" && batch.failed > 0 ? "partly" : batch.status;
}

/** What is missing when a deck has ended, and what can be done about it. */
function Gaps({ batch, draftMadeIt }) {
  if (!isFinal(batch) || batch.failed === 0) return null;
  return html`
    <div class="note note-bad">
      <${Icon} name="alert" />
      <div>
        <strong>${tn("run.gaps", batch.failed)}</strong>
        ${batch.possibly_billed > 0 && html`<p>${tn("run.maybeBilled", batch.possibly_billed)}</p>`}
        ${draftMadeIt && batch.successful > 0 && html`<p>${t("run.again")}</p>`}
      </div>
    </div>`;
}

function Missing() {
  return html`
    <main tabindex="-1" class="run run-missing">
      <h1>${t("run.missing")}</h1>
      <p class="lead">${t("run.missingWhy")}</p>
      <a class="button button-main" href=${linkTo(null)}>${t("nav.new")}</a>
    </main>`;
}

/** Said aloud at every quarter and at the end, not at every slide. @param {import("./api.js").Batch} batch */
function announcement(batch) {
  const state = t(`status.${stateWord(batch)}`);
  if (isFinal(batch)) return `${state}. ${t("run.announce", { n: batch.successful, total: batch.total_slides, failed: batch.failed })}`;
  const quarter = Math.floor(batch.progress * 4) * 25;
  return quarter > 0 ? `${state}: ${quarter} %` : state;
}

/** The browser tab tells how far it is. @param {import("./api.js").Batch | null} batch */
function useTitle(batch) {
  const done = batch && !isFinal(batch) ? `(${batch.completed_slides}/${batch.total_slides}) ` : "";
  const title = batch ? `${done}${batchTitle(batch)} · Slideloom` : "Slideloom";
  useEffect(() => {
    document.title = title;
    return () => (document.title = "Slideloom");
  }, [title]);
}
