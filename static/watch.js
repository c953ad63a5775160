/** A batch as it goes: asked for every second while it runs. */
import { useEffect, useState } from "./vendor/htm-preact.js";
import { fetchBatch, Problem } from "./api.js";
import { currentLang } from "./i18n.js";
import { keepPolling } from "./poll.js";

/** @typedef {import("./api.js").Batch} Batch */

const PACE_MS = 1_000;

/** @param {Batch} batch */
export const isFinal = (batch) => batch.status === "completed" || batch.status === "failed";

/**
 * @typedef {{batch: Batch | null, missing: boolean, startedMs: number, readMs: number}} Watched
 *   missing: the service does not know it. startedMs, readMs: by this browser's clock, when it was asked for and last changed.
 * @param {string} id
 * @returns {Watched}
 */
export function useBatch(id) {
  const [watched, setWatched] = useState(/** @type {Watched} */ ({ batch: null, missing: false, startedMs: 0, readMs: 0 }));
  useEffect(() => {
    let etag = null;
    return keepPolling(async () => {
      try {
        const answer = await fetchBatch(id, etag);
        if (answer.batch === null) return PACE_MS;
        etag = answer.etag;
        const startedMs = Date.parse(answer.batch.created_at) + answer.skewMs;
        setWatched({ batch: answer.batch, missing: false, startedMs, readMs: Date.now() });
        return isFinal(answer.batch) ? null : PACE_MS;
      } catch (error) {
        if (!(error instanceof Problem && error.status < 500 && error.status !== 429)) throw error;
        setWatched({ batch: null, missing: true, startedMs: 0, readMs: 0 });
        return null;
      }
    });
  }, [id, currentLang()]); // Messages come in the page's language.
  return watched;
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
