/** Small shared parts: icons, the modal dialog, what buttons do, a problem in words. */
import { html, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import { Problem, Unreachable } from "./api.js";

const ICONS = {
  file: "M14 3H7a2 2 0 0 0-2 2v14a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2V8zM14 3v5h5M9 13h6M9 17h4",
  paste: "M9 4H6a1 1 0 0 0-1 1v15a1 1 0 0 0 1 1h12a1 1 0 0 0 1-1V5a1 1 0 0 0-1-1h-3M9 3h6v4H9zM9 12h6M9 16h4",
  spark: "M12 3l1.9 5.6L19.5 10.5 13.9 12.4 12 18l-1.9-5.6L4.5 10.5l5.6-1.9zM19 16v4M17 18h4",
  history: "M3.5 12a8.5 8.5 0 1 0 2.6-6.1L3.5 8.4M3.5 4v4.4h4.4M12 7.5V12l3 2",
  plus: "M12 5v14M5 12h14",
  left: "M14.5 5.5L8 12l6.5 6.5",
  right: "M9.5 5.5L16 12l-6.5 6.5",
  close: "M6 6l12 12M18 6L6 18",
  download: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  alert: "M12 8.5v4.5M12 16.5v.01M12 3.5l9.2 16H2.8z",
  check: "M5 12.5l4.5 4.5L19 7.5",
  stop: "M8 6.5h8a1.5 1.5 0 0 1 1.5 1.5v8a1.5 1.5 0 0 1-1.5 1.5H8A1.5 1.5 0 0 1 6.5 16V8A1.5 1.5 0 0 1 8 6.5z",
  again: "M4.5 12a7.5 7.5 0 0 1 13-5.1L20 9.5M20 4.5v5h-5M19.5 12a7.5 7.5 0 0 1-13 5.1L4 14.5M4 19.5v-5h5",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  log: "M5 6h14M5 10h14M5 14h9M5 18h6",
  moon: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",
  sun: "M12 8.2a3.8 3.8 0 1 0 0 7.6 3.8 3.8 0 0 0 0-7.6M12 3v1.8M12 19.2V21M3 12h1.8M19.2 12H21M5.6 5.6l1.3 1.3M17.1 17.1l1.3 1.3M5.6 18.4l1.3-1.3M17.1 6.9l1.3-1.3",
  enter: "M14 4h4a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2h-4M4 12h11M11 8l4 4-4 4",
  leave: "M10 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h4M9 12h11M16 8l4 4-4 4",
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

/**
 * Something the reader wants of the service: once at a time, and in words when it does not work.
 * @template T
 * @param {(result: T) => void} onDone
 * @returns {{busy: boolean, problem: Error | null, run: (call: () => Promise<T>) => Promise<void>}}
 */
export function useAction(onDone) {
  const running = useRef(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);

  async function run(call) {
    if (running.current) return; // A double click comes before the button is disabled.
    running.current = true;
    setBusy(true);
    setProblem(null);
    try {
      onDone(await call());
    } catch (error) {
      if (!(error instanceof Problem || error instanceof Unreachable)) throw error;
      setProblem(error);
    } finally {
      running.current = false;
      setBusy(false);
    }
  }
  return { busy, problem, run };
}
