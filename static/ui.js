/** Small shared parts: icons, the modal dialog, a problem in words. */
import { html, useLayoutEffect, useRef } from "./vendor/htm-preact.js";
import { Problem } from "./api.js";

const ICONS = {
  file: "M14 3H7a2 2 0 0 0-2 2v14a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2V8zM14 3v5h5M9 13h6M9 17h4",
  paste: "M9 4H6a1 1 0 0 0-1 1v15a1 1 0 0 0 1 1h12a1 1 0 0 0 1-1V5a1 1 0 0 0-1-1h-3M9 3h6v4H9zM9 12h6M9 16h4",
  spark: "M12 3l1.900 5.600L19.500 10.500 13.900 12.400 12 18l-1.900-5.600L4.500 10.500l5.600-1.900zM19 16v4M17 18h4",
  history: "M3.500 12a8.500 8.500 0 1 0 2.600-6.100L3.500 8.400M3.500 4v4.400h4.400M12 7.500V12l3 2",
  plus: "M12 5v14M5 12h14",
  left: "M14.500 5.500L8 12l6.500 6.500",
  right: "M9.500 5.500L16 12l-6.500 6.500",
  close: "M6 6l12 12M18 6L6 18",
  download: "M12 4v11M7 10.500l5 5 5-5M5 20h14",
  alert: "M12 8.500v4.500M12 16.500v.010M12 3.500l9.200 16H2.800z",
  check: "M5 12.500l4.500 4.500L19 7.500",
  stop: "M8 6.500h8a1.500 1.500 0 0 1 1.500 1.500v8a1.500 1.500 0 0 1-1.500 1.500H8A1.500 1.500 0 0 1 6.500 16V8A1.500 1.500 0 0 1 8 6.500z",
  again: "M4.500 12a7.500 7.500 0 0 1 13-5.100L20 9.500M20 4.500v5h-5M19.500 12a7.500 7.500 0 0 1-13 5.100L4 14.500M4 19.500v-5h5",
  log: "M5 6h14M5 10h14M5 14h9M5 18h6",
  moon: "M19.500 14.500A8 8 0 0 1 9.500 4.500a8 8 0 1 0 10 10z",
  sun: "M12 8.200a3.800 3.800 0 1 0 0 7.600 3.800 3.800 0 0 0 0-7.600M12 3v1.800M12 19.200V21M3 12h1.800M19.200 12H21M5.600 5.600l1.300 1.300M17.100 17.100l1.300 1.300M5.600 18.400l1.300-1.300M17.100 6.900l1.300-1.300",
  plug: "M9 3v5M15 3v5M6 8h12v3a6 6 0 0 1-12 0zM12 17v4",
};

/** @param {{name: keyof typeof ICONS}} props */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${ICONS[name]} /></svg>`;
}

/**
 * A modal dialog that is open as long as it is rendered. Escape and a click beside it close it; focus goes back after.
 * @param {{class: string, label: string, onClose: () => void, onKeyDown?: (event: KeyboardEvent) => void, children: any}} props
 */
export function Dialog({ class: className, label, onClose, onKeyDown, children }) {
  const dialog = useRef(null);
  const whenClosed = useRef(onClose);
  whenClosed.current = onClose;
  useLayoutEffect(() => {
    const element = dialog.current;
    const tell = () => whenClosed.current();
    element.showModal();
    element.addEventListener("close", tell);
    return () => {
      element.removeEventListener("close", tell);
      element.close(); // While still in the page: this gives the focus back.
    };
  }, []);
  const closeBeside = (event) => {
    const { left, right, top, bottom } = dialog.current.getBoundingClientRect();
    const inside = event.clientX >= left && event.clientX <= right && event.clientY >= top && event.clientY <= bottom;
    if (event.target === dialog.current && !inside) onClose();
  };
  return html`
    <dialog ref=${dialog} class=${className} aria-label=${label} onMouseDown=${closeBeside} onKeyDown=${onKeyDown}>
      ${children}
    </dialog>`;
}

/** An icon alone, with a name for those who do not see it. */
export function IconButton({ icon, label, ...rest }) {
  return html`<button type="button" class="icon-button" aria-label=${label} title=${label} ...${rest}><${Icon} name=${icon} /></button>`;
}

/** What went wrong, in words. @param {{title?: string, error: Error}} props */
export function ProblemNote({ title, error }) {
  const parts = error instanceof Problem ? error.parts : [];
  return html`
    <div class="note note-bad" role="alert">
      <${Icon} name="alert" />
      <div>
        ${title && html`<strong>${title}</strong>`}
        ${parts.length === 0
          ? html`<p>${error.message}</p>`
          : html`<ul>${parts.map(({ where, message }) => html`<li><b>${where}</b> ${message}</li>`)}</ul>`}
      </div>
    </div>`;
}
