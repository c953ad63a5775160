/** A batch as it goes, for the views. */
import { useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { followBatch } from "./follow.js";
import { currentLang } from "./i18n.js";

/** @typedef {import("./api.js").Batch} Batch */

/**
 * @typedef {{batch: Batch | null, missing: boolean, live: boolean, workedS: number, workedAtMs: number, toldAtMs: number}} Watched
 *   workedS: seconds of work when last read as a whole, at workedAtMs. toldAtMs: when it last changed.
 * @param {string} id
 * @returns {[Watched, (batch: Batch) => void]} The second takes what an action answered.
 */
export function useBatch(id) {
  const [watched, setWatched] = useState(/** @type {Watched} */ ({ batch: null, missing: false, live: false, workedS: 0, workedAtMs: 0, toldAtMs: 0 }));
  const following = useRef(null);
  useEffect(() => {
    following.current = followBatch(id, ({ isWhole, ...state }) =>
      setWatched((known) => ({
        ...known,
        ...state,
        toldAtMs: state.batch === known.batch ? known.toldAtMs : Date.now(),
        ...(isWhole && state.batch ? { workedS: state.batch.total_time, workedAtMs: Date.now() } : {}),
      })),
    );
    return () => following.current.close();
  }, [id, currentLang()]); // Messages come in the page's language.
  return [watched, (batch) => following.current.take(batch)];
}

/** The time now, renewed every second while `ticking`. @param {boolean} ticking */
export function useNow(ticking) {
  const [nowMs, setNow] = useState(Date.now);
  useEffect(() => {
    if (!ticking) return undefined;
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [ticking]);
  return nowMs;
}
