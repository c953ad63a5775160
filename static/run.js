/** A deck in the making, or made: how far it is, what can be done with it, and its slides as they come. */
import { html, useEffect, useState } from "./vendor/htm-preact.js";
import { cancelBatch, retrySlides } from "./api.js";
import { Facts, stateWord, Weave } from "./facts.js";
import { useDoor } from "./door.js";
import { countStopped, isFinal, wantsWords } from "./fold.js";
import { useBatch } from "./follow.js";
import { SlideGrid } from "./grid.js";
import { t, tn } from "./i18n.js";
import { LogDialog } from "./log.js";
import { alterPlace, linkTo } from "./place.js";
import { TakeAway } from "./takeaway.js";
import { Dialog, Icon, ProblemNote, useAction } from "./ui.js";
import { Viewer } from "./viewer.js";

/** @typedef {import("./api.js").Batch} Batch */

/** @param {{place: import("./place.js").Place, draft: import("./deck.js").Deck | null}} props draft: the deck, if it is still here to edit. */
export function Run({ place, draft }) {
  const [watched, takeBatch] = useBatch(place.batch);
  const { batch } = watched;
  useTitle(batch);
  if (watched.missing) return html`<${Missing} />`;
  if (!batch) return html`<main tabindex="-1" class="run"><p key="loading" class="soft" role="status">${watched.held?.message ?? t("run.loading")}</p></main>`;
  const { slide } = place;
  return html`
    <main tabindex="-1" class="run" data-live=${String(watched.live)}>
      <div class="run-title">
        <h1>${batchTitle(batch)}</h1>
        ${isFinal(batch) ? batch.successful > 0 && html`<${TakeAway} batch=${batch} />` : html`<${StopButton} batch=${batch} onBatch=${takeBatch} />`}
      </div>
      <div class="run-head">
        <${Weave} batch=${batch} />
        <${Facts} watched=${watched} />
      </div>
      ${isFinal(batch) && batch.failed > 0 && html`<${Gaps} batch=${batch} draft=${draft} onBatch=${takeBatch} />`}
      <${SlideGrid} batch=${batch} draft=${draft} onBatch=${takeBatch} />
      <p class="run-foot">
        ${draft && html`<a class="button" href=${linkTo()}>${t("run.backToDeck")}</a>`}
        <button type="button" class="link-button" onClick=${() => alterPlace({ open: "log" })}><${Icon} name="log" />${t("run.log")}</button>
      </p>
      <p class="unseen" role="status">${announcement(batch)}</p>
      ${slide && batch.results[slide - 1] && html`<${Viewer} batch=${batch} draft=${draft} number=${slide} onBatch=${takeBatch} />`}
      ${place.open === "log" && html`<${LogDialog} batch=${batch} onClose=${() => alterPlace({ open: null })} />`}
    </main>`;
}

/** Asked once more, because pictures under way may be paid for all the same. @param {{batch: Batch, onBatch: (batch: Batch) => void}} props */
function StopButton({ batch, onBatch }) {
  const [asking, setAsking] = useState(false);
  const action = useAction((answer) => (setAsking(false), onBatch(answer)));
  return html`
    <button type="button" class="button" onClick=${() => setAsking(true)}><${Icon} name="stop" />${t("stop.button")}</button>
    ${asking &&
    html`
      <${Dialog} class="question" label=${t("stop.question")} onClose=${() => setAsking(false)}>
        <div class="dialog-body">
          <h2>${t("stop.question")}</h2>
          <p class="soft">${t("stop.what")}</p>
          ${action.problem && html`<${ProblemNote} error=${action.problem} />`}
          <p class="ways">
            <button type="button" class="button" onClick=${() => setAsking(false)}>${t("stop.no")}</button>
            <button type="button" class="button button-bad" disabled=${action.busy} onClick=${() => action.run(() => cancelBatch(batch.batch_id))}>${t("stop.button")}</button>
          </p>
        </div>
      <//>`}`;
}

/** @param {Batch} batch */
function batchTitle(batch) {
  return batch.results.find((slide) => slide.title)?.title ?? t("deck.untitled");
}

/** What is missing when a deck has ended, and what can be done about it. */
function Gaps({ batch, draft, onBatch }) {
  const action = useAction(onBatch);
  const isWished = countStopped(batch) === batch.failed;
  return html`
    <div class=${`note gaps ${isWished ? "" : "note-bad"}`}>
      <${Icon} name=${isWished ? "stop" : "alert"} />
      <div>
        <strong>${isWished ? tn("run.stopped", batch.failed) : tn("run.gaps", batch.failed)}</strong>
        ${batch.possibly_billed > 0 && html`<p>${tn("run.maybeBilled", batch.possibly_billed)}</p>`}
        ${draft && batch.results.some(wantsWords) && html`<p>${t(draft.anew ? "more.anewHint" : "run.again")}</p>`}
        ${action.problem && html`<${ProblemNote} error=${action.problem} />`}
      </div>
      <button type="button" class="button" disabled=${action.busy} onClick=${() => action.run(() => retrySlides(batch.batch_id, null))}>
        <${Icon} name="again" />${isWished ? tn("start.button", batch.failed) : tn("run.retryAll", batch.failed)}
      </button>
    </div>`;
}

function Missing() {
  return html`
    <main tabindex="-1" class="run run-missing">
      <h1>${t("run.missing")}</h1>
      <p class="lead">${t("run.missingWhy")}${useDoor().closed && t("run.missingOthers")}</p>
      <a class="button button-main" href=${linkTo({ view: "new" })}>${t("nav.new")}</a>
    </main>`;
}

/** Said aloud at every quarter and at the end, not at every slide. @param {Batch} batch */
function announcement(batch) {
  const state = t(`status.${stateWord(batch)}`);
  if (isFinal(batch)) return t("run.announce", { state, n: batch.successful, total: batch.total_slides, failed: batch.failed - countStopped(batch) });
  const quarter = Math.floor(batch.progress * 4) * 25;
  return quarter > 0 ? `${state} ${quarter} %` : state;
}

/** The browser tab tells how far it is. @param {Batch | null} batch */
function useTitle(batch) {
  const done = batch && !isFinal(batch) ? `(${batch.completed_slides}/${batch.total_slides}) ` : "";
  const title = batch ? `${done}${batchTitle(batch)} · Slideloom` : "Slideloom";
  useEffect(() => {
    document.title = title;
    return () => (document.title = "Slideloom");
  }, [title]);
}
