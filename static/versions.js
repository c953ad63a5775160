/** The pictures a slide has had: one beside the other, and back to an earlier one. */
import { html } from "./vendor/htm-preact.js";
import { restoreVersion } from "./api.js";
import { slideState } from "./fold.js";
import { Picture, smallUrl } from "./grid.js";
import { formatAgo, t } from "./i18n.js";
import { Icon, ProblemNote, useAction } from "./ui.js";

/**
 * @typedef {import("./api.js").Batch} Batch
 * @typedef {import("./api.js").Slide} Slide
 */

/** Which version to look at. @param {{slide: Slide, chosen: number | null, onChoose: (n: number | null) => void}} props */
export function VersionStrip({ slide, chosen, onChoose }) {
  const shown = chosen ?? slide.versions.find((version) => version.current)?.n;
  return html`
    <ol class="strip" aria-label=${t("versions.heading")}>
      ${slide.versions.map(
        (version) => html`
          <li key=${version.n}>
            <button type="button" class="strip-button" aria-pressed=${version.n === shown}
              onClick=${() => onChoose(version.current ? null : version.n)}>
              <img src=${smallUrl(version.image_url, 320)} alt="" decoding="async" />
              <span>${versionName(version)}</span>
            </button>
          </li>`,
      )}
    </ol>`;
}

/** An earlier version beside the one in use. @param {{batch: Batch, slide: Slide, number: number, onBatch: (batch: Batch) => void, children: any}} props */
export function Compare({ batch, slide, number, onBatch, children }) {
  const earlier = slide.versions.find((version) => version.n === number);
  const current = slide.versions.find((version) => version.current);
  const action = useAction(onBatch);
  return html`
    <div class="compare">
      <figure>
        <${Picture} key=${earlier.image_url} url=${earlier.image_url} alt=${`${slide.title} (${versionName(earlier)})`} />
        <figcaption>
          <span><b>${versionName(earlier)}</b> <span class="soft">${formatAgo(earlier.created_at)}</span></span>
          <button type="button" class="button" disabled=${action.busy} onClick=${() => action.run(() => restoreVersion(batch.batch_id, slide.slide_id, number))}>
            <${Icon} name="again" />${t("versions.restore")}
          </button>
        </figcaption>
        ${action.problem && html`<${ProblemNote} error=${action.problem} />`}
      </figure>
      <figure>
        ${children}
        <figcaption><span><b>${current ? versionName(current) : t(`slide.${slideState(slide)}`)}</b> ${current && html`<span class="soft">${formatAgo(current.created_at)}</span>`}</span></figcaption>
      </figure>
    </div>`;
}

/** @param {import("./api.js").Version} version */
function versionName({ n, current }) {
  return t(current ? "versions.current" : "versions.earlier", { n });
}
