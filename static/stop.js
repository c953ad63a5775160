/** Stopping a deck: asked once more, because pictures under way may be paid for all the same. */
import { html, useState } from "./vendor/htm-preact.js";
import { cancelBatch } from "./api.js";
import { t } from "./i18n.js";
import { Dialog, Icon, ProblemNote, useAction } from "./ui.js";

/** @typedef {import("./api.js").Batch} Batch */

/** @param {{batch: Batch, onBatch: (batch: Batch) => void}} props */
export function StopButton({ batch, onBatch }) {
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
            <button type="button" class="button button-bad" disabled=${action.busy} onClick=${() => action.run(() => cancelBatch(batch.batch_id))}>${t("stop.yes")}</button>
          </p>
        </div>
      <//>`}`;
}
