/**
 * Where the reader is, kept in the address, so that reload, a second tab and the back button agree:
 * `#batch=<id>` a deck being made or made, `&slide=<n>` one of its slides large; `#page=<n>` a page being edited;
 * `#view=new` the start page although there is a draft; `open=history` or `open=log` what lies above.
 */
import { useEffect, useState } from "./vendor/htm-preact.js";

/**
 * @typedef {{batch: string | null, view: string | null, slide: number | null, page: number | null, open: string | null}} Place
 *   slide, page: 1-based places in the list.
 */

/** @returns {Place} */
function readPlace() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const number = (name) => Number.parseInt(parts.get(name) ?? "", 10) || null;
  return { batch: parts.get("batch"), view: parts.get("view"), slide: number("slide"), page: number("page"), open: parts.get("open") };
}

/** The address of a place; of the draft, or the start page, for none. @param {Partial<Place>} [place] */
export function linkTo(place = {}) {
  return `#${new URLSearchParams(Object.entries(place).filter(([, value]) => value !== null))}`;
}

/** @param {Partial<Place>} [place] */
export function goTo(place) {
  location.hash = linkTo(place);
}

/** Open or close something where the reader is, without a step in the history. @param {Partial<Place>} part */
export function alterPlace(part) {
  history.replaceState(null, "", linkTo({ ...readPlace(), ...part }));
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** @returns {Place} */
export function usePlace() {
  const [place, setPlace] = useState(readPlace);
  useEffect(() => {
    const follow = () => setPlace(readPlace());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return place;
}
