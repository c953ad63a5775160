/** Coming in with a token, and going out again. */
import { html, useEffect, useRef } from "./vendor/htm-preact.js";
import { fetchWhoIsIn, signIn, signOut } from "./api.js";
import { answerDoor, askIn } from "./door.js";
import { t } from "./i18n.js";
import { putDraftAway } from "./keep.js";
import { Dialog, Icon, ProblemNote, useAction } from "./ui.js";

/** Ask at the start rather than at the first click, where the page's head says that tokens are in use. */
export async function lookAtDoor() {
  if (document.querySelector('meta[name="sign-in"]')?.content !== "needed") return;
  addEventListener("storage", ({ key }) => key === "slideloom.out" && location.reload());
  const name = await fetchWhoIsIn().catch(() => undefined); // Without an answer, the first click will ask.
  if (name) answerDoor(name);
  else if (name === null) askIn();
}

/** The question for a token, above everything else: what the reader had open waits below. */
export function SignIn() {
  const field = useRef(null);
  const action = useAction(answerDoor);
  useEffect(() => void (action.problem && (field.current.focus(), field.current.select())), [action.problem]);
  const submit = (event) => {
    event.preventDefault();
    action.run(() => signIn(field.current.value.trim()));
  };
  return html`
    <${Dialog} class="question" label=${t("signIn.heading")} onClose=${() => answerDoor(null)}>
      <form class="dialog-body" onSubmit=${submit}>
        <h2>${t("signIn.heading")}</h2>
        <p class="soft" id="sign-in-what">${t("signIn.what")}</p>
        <div class="field">
          <label for="token">${t("signIn.token")}</label>
          <input id="token" ref=${field} type="password" autocomplete="current-password" required autofocus
            aria-describedby="sign-in-what" aria-invalid=${String(action.problem !== null)} />
        </div>
        ${action.problem && html`<${ProblemNote} error=${action.problem} />`}
        <p class="ways">
          <button type="button" class="button" onClick=${() => answerDoor(null)}>${t("signIn.later")}</button>
          <button type="submit" class="button button-main" aria-busy=${action.busy}>${t("signIn.heading")}</button>
        </p>
      </form>
    <//>`;
}

/** In the bar: the way in for who said not now, the way out for who is in. @param {{door: import("./door.js").Door}} props */
export function DoorButton({ door: { closed, name } }) {
  const action = useAction(() => {
    putDraftAway(name);
    location.replace("/"); // All of the page anew: nothing of what was shown is left.
  });
  if (!closed) return null;
  const [words, act] = name === null ? ["signIn.heading", askIn] : ["signIn.out", () => action.run(signOut)];
  return html`
    <button type="button" class="bar-button" title=${action.problem?.message ?? (name && t("signIn.as", { name }))} onClick=${act}>
      <${Icon} name=${name === null ? "enter" : "leave"} /><span>${t(words)}</span>
    </button>`;
}
