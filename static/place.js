/** Where the reader is, kept in the address: `#batch=<id>&slide=<n>`. Reload, a second tab and the back button agree. */
import { useEffect, useState } from "./vendor/htm-preact.js";

/** @typedef {{batch: string | null, slide: number | null}} Place slide: 1-based place in the list, when one is open. */

/** @returns {Place} */
function readPlace() {
  const parts = new URLSearchParams(location.hash.slice(1));
  return { batch: parts.get("batch"), slide: Number.parseInt(parts.get("slide") ?? "", 10) || null };
}

/** The address of a batch, or of the composer for null. @param {string | null} batch */
export function linkTo(batch) {
  return batch ? `#${new URLSearchParams({ batch })}` : "#";
}

/** @param {string | null} batch */
export function goTo(batch) {
  location.hash = linkTo(batch);
}

/** Open or close a slide of the batch on view, without a step in the history. @param {number | null} slide */
export function showSlide(slide) {
  const { batch } = readPlace();
  const address = linkTo(batch) + (slide ? `&slide=${slide}` : "");
  history.replaceState(null, "", address);
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
