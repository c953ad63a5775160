/** The finished deck, to take home: one file in three forms. When there is none, the page says why. */
import { html, useState } from "./vendor/htm-preact.js";
import { exportUrl, fetchExport } from "./api.js";
import { t } from "./i18n.js";
import { Icon, ProblemNote, useAction } from "./ui.js";

const KINDS = ["pptx", "pdf", "zip"];

/** @param {{batch: import("./api.js").Batch}} props */
export function TakeAway({ batch: { batch_id: id } }) {
  const [wanted, setWanted] = useState(null);
  const action = useAction(save);
  const take = (event, kind) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // The browser's own way of opening a link.
    event.preventDefault();
    setWanted(kind);
    action.run(() => fetchExport(id, kind));
  };
  return html`
    <ul class="take-away" aria-label=${t("export.heading")}>
      ${KINDS.map(
        (kind) => html`
          <li key=${kind}>
            <a class=${kind === "pptx" ? "button button-main" : "button"} href=${exportUrl(id, kind)} download aria-label=${t(`export.${kind}Long`)}
              aria-busy=${action.busy && wanted === kind} onClick=${(event) => take(event, kind)}>
              ${kind === "pptx" && html`<${Icon} name="download" />`}${t(`export.${kind}`)}
            </a>
          </li>`,
      )}
    </ul>
    <p class="unseen" role="status">${action.busy && t("export.packing")}</p>
    ${action.problem && html`<${ProblemNote} title=${t("export.failed")} error=${action.problem} />`}`;
}

/** Hand a file to the browser, as a link would. @param {{name: string, blob: Blob}} file */
function save({ name, blob }) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // Some browsers begin to read it later.
}
