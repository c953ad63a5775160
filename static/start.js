/** The start of a deck: what it would cost and how long it would take, and the button. */
import { html, useEffect, useState } from "./vendor/htm-preact.js";
import { estimateBatch, startBatch } from "./api.js";
import { budgetValue, isBlank, pagesToMake, ratioValue, toRequest } from "./deck.js";
import { useDoor } from "./door.js";
import { formatCost, formatSeconds, t, tn } from "./i18n.js";
import { keep, recall } from "./keep.js";
import { Icon, ProblemNote, useAction } from "./ui.js";

const SETTLE_MS = 350;

/** @typedef {import("./deck.js").Deck} Deck */

/** @param {{deck: Deck, onStarted: (batchId: string) => void}} props */
export function StartBar({ deck, onStarted }) {
  const action = useAction((batch) => (keep("sent", null), onStarted(batch.batch_id)));
  const count = pagesToMake(deck).length;
  const blanks = pagesToMake(deck).filter(isBlank).length;
  const startable = count > 0 && ratioValue(deck.ratio) !== null && !Number.isNaN(budgetValue(deck));
  const body = startable ? toRequest(deck) : null;
  return html`
    <div class="start-bar">
      ${action.problem && html`<${ProblemNote} title=${t("start.failed")} error=${action.problem} />`}
      ${count === 0 ? html`<p class="soft">${t("start.nothing")}</p>` : html`<${Estimate} body=${body} deck=${deck} />`}
      ${blanks > 0 && html`<p class="hint warning"><${Icon} name="alert" />${tn("start.blank", blanks)}</p>`}
      <button type="button" class="button button-main button-wide" disabled=${!startable || action.busy}
        onClick=${() => action.run(() => startBatch(body, keyFor(body)))}>
        ${action.busy ? t("start.sending") : tn("start.button", count)}
      </button>
    </div>`;
}

/** @param {{body: string | null, deck: Deck}} props */
function Estimate({ body, deck }) {
  const estimate = useEstimate(body);
  if (!estimate) return html`<div class="estimate" aria-hidden="true"></div>`;
  const { cache_hits: hits, calls, seconds } = estimate;
  const facts = [
    calls > 0 && t("estimate.time", { time: formatSeconds(Math.ceil(seconds)) }),
    hits > 0 && tn("estimate.cached", hits),
  ].filter(Boolean);
  return html`
    <div class="estimate">
      <p><strong>${priceWords(estimate)}</strong> <span class="soft">${facts.join(" · ")}</span></p>
      ${estimate.within_budget === false && html`<p class="hint hint-bad">${t("estimate.over", { limit: formatCost(budgetValue(deck)) })}</p>`}
    </div>`;
}

/** @param {import("./api.js").Estimate} estimate */
function priceWords({ provider, calls, cost_usd_low: low, cost_usd_high: high }) {
  if (provider === "local" || calls === 0) return t("estimate.free");
  if (high === null) return tn("estimate.unknown", calls);
  return t("estimate.price", { price: low === high ? formatCost(low) : `${formatCost(low)}–${formatCost(high)}` });
}

/** The estimate for a request, once it has stayed the same for a moment. @param {string | null} body */
function useEstimate(body) {
  const [estimate, setEstimate] = useState(null);
  const { name } = useDoor();
  useEffect(() => {
    let stale = false;
    const keep = (value) => stale || setEstimate(value);
    const fetch = () => estimateBatch(body).then(keep, () => keep(null)); // What is wrong is said at the start.
    const timer = body && setTimeout(fetch, SETTLE_MS);
    return () => ((stale = true), clearTimeout(timer));
  }, [body, name]);
  return estimate;
}

/**
 * The idempotency key of a request: the same until its answer has come, even after a reload, so it never starts twice.
 * `crypto.randomUUID` is missing on plain-http pages of other hosts; this is not.
 * @param {string} body
 */
function keyFor(body) {
  const sent = recall("sent");
  if (sent?.body === body) return sent.key;
  const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  keep("sent", { body, key });
  return key;
}
