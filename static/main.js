/** The page: what stands at the top, and which view the address asks for. */
import { html, render, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { docsUrl } from "./api.js";
import { Banners, useService } from "./banners.js";
import { Compose } from "./compose.js";
import { useDoor } from "./door.js";
import { History } from "./history.js";
import { chooseLang, currentLang, langTag, t } from "./i18n.js";
import { Intake } from "./intake.js";
import { chooseTheme, currentTheme, recallTheme, useDraft } from "./keep.js";
import { alterPlace, goTo, linkTo, usePlace } from "./place.js";
import { Run } from "./run.js";
import { DoorButton, lookAtDoor, SignIn } from "./sign-in.js";
import { Icon, IconButton } from "./ui.js";

function App() {
  const place = usePlace();
  const service = useService();
  const door = useDoor();
  const [deck, setDeck] = useDraft(door.name);
  const [lang, setLang] = useState(currentLang);
  const takeDeck = (next) => (setDeck(next), goTo());
  const takeLang = (next) => chooseLang(next).then(() => setLang(next), () => {}); // Without an answer it stays.
  useEffect(() => void (document.documentElement.lang = langTag()), [lang]);
  const view = place.batch ?? (deck && place.view !== "new" ? "compose" : "intake");
  useArrival(view);
  useEffect(() => void lookAtDoor(), []);

  return html`
    <${TopBar} inBatch=${place.batch !== null} model=${service.readiness} door=${door} onLang=${takeLang} />
    <${Banners} service=${service} />
    ${place.batch
      ? html`<${Run} key=${place.batch} place=${place} draft=${deck?.batchId === place.batch ? deck : null} />`
      : view === "compose"
        ? html`<${Compose} deck=${deck} editing=${place.page} onDeck=${setDeck} />`
        : html`<${Intake} known=${deck} onDeck=${takeDeck} />`}
    ${place.open === "history" && html`<${History} current=${place.batch} onClose=${() => alterPlace({ open: null })} />`}
    ${door.asking && html`<${SignIn} />`}`;
}

/** A new view is read from its top, by the eyes and by the keyboard. @param {string} view */
function useArrival(view) {
  const shown = useRef(view);
  useEffect(() => {
    if (shown.current === view) return;
    shown.current = view;
    scrollTo(0, 0);
    document.querySelector("main").focus({ preventScroll: true });
  }, [view]);
}

function TopBar({ inBatch, model, door, onLang }) {
  const otherLang = currentLang() === "zh" ? "en" : "zh";
  return html`
    <header class="top-bar">
      <a class="brand" href=${linkTo({ view: "new" })} aria-label=${t("nav.home")}><img src="/static/logo.svg" alt="" width="28" height="28" />Slideloom</a>
      ${model && model.provider !== "local" && html`<span class="model wide-only">${model.model}</span>`}
      <nav>
        ${inBatch && html`<a class="bar-button" href=${linkTo({ view: "new" })}><${Icon} name="plus" /><span>${t("nav.new")}</span></a>`}
        <button type="button" class="bar-button" onClick=${() => alterPlace({ open: "history" })}><${Icon} name="history" /><span>${t("nav.history")}</span></button>
        <a class="bar-button wide-only" href=${docsUrl}>${t("nav.api")}</a>
        <button type="button" class="bar-button" lang=${otherLang} onClick=${() => onLang(otherLang)}>${t("nav.otherLanguage")}</button>
        <${ThemeButton} />
        <${DoorButton} door=${door} />
      </nav>
    </header>`;
}

function ThemeButton() {
  const [theme, setTheme] = useState(currentTheme);
  const other = theme === "dark" ? "light" : "dark";
  return html`<${IconButton} icon=${other === "dark" ? "moon" : "sun"} label=${t(`nav.${other}`)} onClick=${() => (chooseTheme(other), setTheme(other))} />`;
}

recallTheme();
render(html`<${App} />`, document.getElementById("app"));
