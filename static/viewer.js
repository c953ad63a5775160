/** One slide large, with what can be done with it, one of its versions beside another. Arrow keys go to its neighbours. */
import { html, useEffect, useState } from "./vendor/htm-preact.js";
import { About } from "./about.js";
import { restoreVersion } from "./api.js";
import { slideState } from "./fold.js";
import { Face, gridStyle, Picture, smallUrl } from "./grid.js";
import { formatAgo, t } from "./i18n.js";
import { alterPlace } from "./place.js";
import { Dialog, Icon, IconButton, ProblemNote, useAction } from "./ui.js";

/**
 * @typedef {import("./api.js").Batch} Batch
 * @typedef {import("./api.js").Slide} Slide
 * @param {{batch: Batch, draft: import("./deck.js").Deck | null, number: number, onBatch: (batch: Batch) => void}} props draft: as of Run. number: its place in the list.
 */
export function Viewer({ batch, draft, number, onBatch }) {
  const slide = batch.results[number - 1];
  const total = batch.results.length;
  const heading = t("page.heading", { n: number, total });
  const move = (target) => target >= 1 && target <= total && alterPlace({ slide: target });
  const close = () => alterPlace({ slide: null });
  const keys = { ArrowLeft: number - 1, ArrowRight: number + 1, Home: 1, End: total };
  const followKey = (event) => event.key in keys && !event.target.closest("pre") && (event.preventDefault(), move(keys[event.key]));
  return html`
    <${Dialog} class="viewer" label=${heading} onClose=${close} onKeyDown=${followKey}>
      <header class="dialog-head">
        <h2>${heading}</h2>
        <${IconButton} icon="left" label=${t("viewer.previous")} disabled=${number === 1} onClick=${() => move(number - 1)} />
        <${IconButton} icon="right" label=${t("viewer.next")} disabled=${number === total} onClick=${() => move(number + 1)} />
        <${IconButton} icon="close" label=${t("viewer.close")} onClick=${close} />
      </header>
      <div class="viewer-body" key=${slide.slide_id}>
        <${Stage} batch=${batch} slide=${slide} onBatch=${onBatch} />
        <${About} batch=${batch} draft=${draft} slide=${slide} number=${number} onBatch=${onBatch} />
      </div>
    <//>`;
}

/** The picture, or why there is none; with earlier versions, any of them beside it. */
function Stage({ batch, slide, onBatch }) {
  const [chosen, setChosen] = useState(null);
  const known = slide.versions.map((version) => (version.current ? "*" : ".")).join("");
  useEffect(() => setChosen(null), [known]); // Another one is in use now: look at that.
  const picture = html`<${Current} slide=${slide} />`;
  const several = slide.versions.length > (slide.status === "done" ? 1 : 0);
  return html`
    <div class="stage" style=${gridStyle(batch.aspect_ratio)}>
      ${chosen !== null && slide.versions[chosen - 1]
        ? html`<${Compare} batch=${batch} slide=${slide} number=${chosen} onBatch=${onBatch}>${picture}<//>`
        : html`<div class="alone">${picture}</div>`}
      ${several && html`<${VersionStrip} slide=${slide} chosen=${chosen} onChoose=${setChosen} />`}
    </div>`;
}

/** @param {{slide: Slide}} props */
function Current({ slide }) {
  if (slide.status === "done") return html`<${Picture} key=${slide.image_url} url=${slide.image_url} alt=${slide.title || t("slide.untitled")} />`;
  return html`<div class=${`frame is-${slideState(slide)}`}><${Face} slide=${slide} /></div>`;
}

/** Which version to look at. @param {{slide: Slide, chosen: number | null, onChoose: (n: number | null) => void}} props */
function VersionStrip({ slide, chosen, onChoose }) {
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
function Compare({ batch, slide, number, onBatch, children }) {
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
