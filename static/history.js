/** Earlier decks, in a drawer at the side. */
import { html, useEffect, useState } from "./vendor/htm-preact.js";
import { fetchHistory } from "./api.js";
import { formatAgo, formatCost, t, tn } from "./i18n.js";
import { linkTo } from "./place.js";
import { Dialog, IconButton } from "./ui.js";

/** @param {{current: string | null, onClose: () => void}} props */
export function History({ current, onClose }) {
  const [batches, setBatches] = useState(null);
  const [cursor, setCursor] = useState(null);
  const [problem, setProblem] = useState(null);

  async function load(from) {
    try {
      const page = await fetchHistory(from);
      setBatches((known) => [...(from && known ? known : []), ...page.batches]);
      setCursor(page.next_cursor);
      setProblem(null);
    } catch (error) {
      setProblem(error);
    }
  }
  useEffect(() => void load(null), []);

  return html`
    <${Dialog} class="drawer" label=${t("nav.history")} onClose=${onClose}>
      <header class="dialog-head">
        <h2>${t("nav.history")}</h2>
        <${IconButton} icon="close" label=${t("viewer.close")} onClick=${onClose} />
      </header>
      <div class="dialog-body">
        ${problem && html`<p class="hint-bad" role="alert">${t("history.failed", { detail: problem.message })}</p>`}
        ${batches?.length === 0 && html`<p class="soft">${t("history.empty")}</p>`}
        <ul class="batches">
          ${batches?.map((batch) => html`<${Entry} key=${batch.batch_id} batch=${batch} isCurrent=${batch.batch_id === current}/>`)}
        </ul>
        ${cursor && html`<button type="button" class="button" onClick=${() => load(cursor)}>${t("history.more")}</button>`}
      </div>
    <//>`;
}

function Entry({ batch, isCurrent }) {
  const done = (batch.successful / batch.total_slides) * 100;
  const failed = batch.cancelled ? 0 : (batch.failed / batch.total_slides) * 100;
  const parts = [formatAgo(batch.created_at), tn("deck.pages", batch.total_slides)];
  if (batch.cost_usd > 0) parts.push(formatCost(batch.cost_usd));
  return html`
    <li>
      <a class="batch" href=${linkTo({ batch: batch.batch_id })} aria-current=${isCurrent ? "page" : null}>
        <span class="batch-title">${batch.title || t("deck.untitled")}</span>
        <span class="batch-facts">${parts.join(" · ")}</span>
        <span class="batch-facts">${entryState(batch)}${isCurrent && html` · <b>${t("history.current")}</b>`}</span>
        <span class="batch-bar" aria-hidden="true" style=${{ "--done": `${done}%`, "--failed": `${failed}%` }}></span>
      </a>
    </li>`;
}

function entryState(batch) {
  const state = batch.cancelled ? "cancelled" : batch.status === "completed" && batch.failed > 0 ? "partly" : batch.status;
  return `${t(`status.${state}`)} (${batch.successful}/${batch.total_slides})`;
}
