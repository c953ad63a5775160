/** What the reader should know about the service: away, not ready, or working without a key. */
import { html, useEffect, useState } from "./vendor/htm-preact.js";
import { fetchReadiness } from "./api.js";
import { t } from "./i18n.js";
import { keepPolling, watchConnection } from "./poll.js";
import { Icon } from "./ui.js";

const PACE_MS = 30_000;
const ENV_LINES = "LLM_IMAGE_API_KEY=…\nLLM_IMAGE_API_BASE=https://openrouter.ai/api/v1\nLLM_IMAGE_MODEL=google/gemini-3-pro-image-preview";

/** @typedef {{ready: boolean, provider: string, model: string, checks: Record<string, unknown>}} Readiness */

/** @returns {{reachable: boolean, readiness: Readiness | null}} */
export function useService() {
  const [reachable, setReachable] = useState(true);
  const [readiness, setReadiness] = useState(toldByPage);
  useEffect(() => watchConnection(setReachable), []);
  useEffect(
    () =>
      keepPolling(async () => {
        setReadiness(await fetchReadiness());
        return PACE_MS;
      }),
    [],
  );
  return { reachable, readiness };
}

/** What the page's own head says; the service is asked afterwards. @returns {Readiness | null} */
function toldByPage() {
  const [provider, model] = document.querySelector('meta[name="provider"]').content.split(" ");
  return model ? { ready: true, provider, model, checks: {} } : null;
}

/** @param {{service: ReturnType<typeof useService>}} props */
export function Banners({ service: { reachable, readiness } }) {
  return html`
    <aside class="banners" aria-label=${t("server.notices")}>
      <div role="alert">${!reachable && html`<${Away} />`}</div>
      ${reachable && readiness?.ready === false && html`<${NotReady} checks=${readiness.checks} />`}
      ${readiness?.provider === "local" && html`<${NoKey} />`}
    </aside>`;
}

function Away() {
  return html`
    <div class="note note-bad">
      <${Icon} name="plug" />
      <p><strong>${t("server.unreachable")}</strong> ${t("server.unreachableWhy")}</p>
    </div>`;
}

function NotReady({ checks }) {
  const failing = Object.entries(checks ?? {}).filter(([, state]) => !isFine(state)).map(([name]) => name);
  return html`
    <div class="note note-bad" role="status">
      <${Icon} name="alert" />
      <p>${t("server.notReady", { checks: failing.join(", ") })}</p>
    </div>`;
}

/** @param {any} state A check's answer: a word, a boolean, or an object with `ok`. */
function isFine(state) {
  return state === "ok" || state === true || state?.ok === true;
}

function NoKey() {
  return html`
    <details class="note note-info">
      <summary>
        <${Icon} name="spark" />
        <span>${t("local.heading")} <span class="more">${t("local.how")}</span></span>
      </summary>
      <p>${t("local.steps")}</p>
      <pre tabindex="0"><code>${ENV_LINES}</code></pre>
    </details>`;
}
