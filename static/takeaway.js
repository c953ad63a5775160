/** The finished deck, to take home: one file in three forms. */
import { html } from "./vendor/htm-preact.js";
import { exportUrl } from "./api.js";
import { t } from "./i18n.js";
import { Icon } from "./ui.js";

const KINDS = ["pptx", "pdf", "zip"];

/** @param {{batch: import("./api.js").Batch}} props */
export function TakeAway({ batch }) {
  return html`
    <ul class="take-away" aria-label=${t("export.heading")}>
      ${KINDS.map(
        (kind) => html`
          <li key=${kind}>
            <a class=${kind === "pptx" ? "button button-main" : "button"} href=${exportUrl(batch.batch_id, kind)} download aria-label=${t(`export.${kind}Long`)}>
              ${kind === "pptx" && html`<${Icon} name="download" />`}${t(`export.${kind}`)}
            </a>
          </li>`,
      )}
    </ul>`;
}
