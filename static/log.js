/** What the log says of a deck or of one slide: each attempt in a line, and the whole record below. */
import { html, useEffect, useState } from "./vendor/htm-preact.js";
import { fetchLogs } from "./api.js";
import { formatCost, formatSeconds, t, tn } from "./i18n.js";
import { Dialog, IconButton, ProblemNote } from "./ui.js";

/** @typedef {import("./api.js").Batch} Batch */

/** @param {{batch: Batch, onClose: () => void}} props */
export function LogDialog({ batch, onClose }) {
  return html`
    <${Dialog} class="drawer drawer-wide" label=${t("run.log")} onClose=${onClose}>
      <header class="dialog-head">
        <h2>${t("run.log")}</h2>
        <${IconButton} icon="close" label=${t("viewer.close")} onClick=${onClose} />
      </header>
      <div class="dialog-body"><${Records} batch=${batch} /></div>
    <//>`;
}

/** One slide's part of the log, fetched when it is opened. @param {{batch: Batch, number: number}} props number: its place in the list. */
export function SlideLog({ batch, number }) {
  const [open, setOpen] = useState(false);
  return html`
    <details class="slide-log" onToggle=${(event) => setOpen(event.target.open)}>
      <summary>${t("log.ofSlide")}</summary>
      ${open && html`<${Records} batch=${batch} number=${number} />`}
    </details>`;
}

function Records({ batch, number }) {
  const [files, setFiles] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => void fetchLogs(batch.session_id).then(setFiles, setProblem), [batch.status, batch.completed_slides]);
  if (problem) return html`<${ProblemNote} error=${problem} />`;
  if (!files) return html`<p class="soft" role="status">${t("log.loading")}</p>`;
  const wanted = number ? `slide_${String(number).padStart(3, "0")}` : "";
  const records = Object.entries(files)
    .map(([name, record]) => ({ name: name.replace(`${batch.session_id}_`, "").replace(".json", ""), record }))
    .filter(({ name }) => name.startsWith(wanted))
    .sort((one, other) => rank(one.name) - rank(other.name));
  if (records.length === 0) return html`<p class="soft">${t("log.nothing")}</p>`;
  return html`<ul class="records">${records.map((one) => html`<${Record} key=${one.name} ...${one} />`)}</ul>`;
}

/** The request first, the summary last. @param {string} name */
const rank = (name) => (name.includes("_start") ? 0 : name.includes("_complete") ? 2 : 1);

/** "slide_004_2" as "Slide 4, round 2". @param {string} name */
function recordName(name) {
  const [, whole, n, round] = /^(?:batch_generate_(start|complete)|slide_(\d+))(?:_(\d+))?$/.exec(name) ?? [];
  if (!whole && !n) return name;
  const what = whole ? t(`log.${whole}`) : t("problem.slide", { n: Number(n) });
  return round ? t("log.round", { what, n: round }) : what;
}

function Record({ name, record }) {
  return html`
    <li>
      <h3>${recordName(name)} ${record.slide && html`<span>${record.slide.title}</span>`}</h3>
      ${record.attempts?.length > 0 && html`<ol class="attempts">${record.attempts.map((attempt) => html`<${Attempt} key=${attempt.attempt} attempt=${attempt} />`)}</ol>`}
      <details>
        <summary>${t("log.whole")}</summary>
        <pre tabindex="0"><code>${JSON.stringify(record, null, 2)}</code></pre>
      </details>
    </li>`;
}

function Attempt({ attempt }) {
  const facts = [
    attempt.model,
    attempt.http_status && `HTTP ${attempt.http_status}`,
    attempt.seconds !== undefined && formatSeconds(attempt.seconds),
    attempt.cost_usd > 0 && formatCost(attempt.cost_usd),
  ].filter(Boolean);
  return html`
    <li class=${attempt.error_code === "cancelled" ? "attempt-cut" : attempt.error_code && "attempt-bad"}>
      <strong>${tn("log.attempt", attempt.attempt)}</strong> <span class="soft">${facts.join(" · ")}</span>
      ${attempt.error_code && html`<span class="why"><code>${attempt.error_code}</code> ${attempt.error_detail}</span>`}
    </li>`;
}
