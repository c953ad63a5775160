/** One batch, followed: read once, then one stream of its events. Only while that is broken it is asked for again and again. */
import { useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { eventsUrl, fetchBatch, Problem } from "./api.js";
import { untilIn } from "./door.js";
import { EVENTS, isBehind, isFinal, takeIn } from "./fold.js";
import { currentLang } from "./i18n.js";
import { keepPolling, tellConnection } from "./poll.js";

/** @typedef {import("./api.js").Batch} Batch */

const PACE_MS = 1_000;
/** Where the browser has given the stream up, a new one is tried after this. */
const AGAIN_MS = 5_000;
const HIDDEN_PACE_MS = 5_000;
/** A browser has six connections to a service: tabs nobody looks at give theirs back. */
const HIDDEN_GRACE_MS = 20_000;

/**
 * @typedef {{take: (batch: Batch) => void, close: () => void}} Following take: what an action answered.
 * @param {string} id
 * @param {(state: {batch: Batch | null, missing: boolean, live: boolean, isWhole: boolean, held?: Problem}) => void} tell
 *   missing: the service does not know it. live: by the stream. isWhole: read as a whole, not one event more. held: not so soon again.
 * @returns {Following}
 */
export function followBatch(id, tell) {
  let batch = null;
  let etag = null;
  let source = null;
  let resting = false;
  let graceTimer = 0;
  let asking = false;
  let listenedAtMs = 0;
  let stopPolling = () => {};

  const isLive = () => source?.readyState === EventSource.OPEN;
  const report = (isWhole, held) => tell({ batch, missing: false, live: isLive(), isWhole, held });

  function ask() {
    stopPolling();
    asking = true;
    stopPolling = keepPolling(async () => {
      try {
        const answer = await fetchBatch(id, etag);
        etag = answer.etag;
        if (answer.batch) take(answer.batch);
      } catch (error) {
        if (error.status === 401) return tellConnection(true), untilIn().then(() => 0); // Not now, the reader said.
        if (error.status === 429) report(false, error);
        if (!isUnknown(error)) throw error;
        close();
        tell({ batch: null, missing: true, live: false, isWhole: true });
        return null;
      }
      if (resting) return isFinal(batch) ? null : HIDDEN_PACE_MS;
      if (!source || (source.readyState === EventSource.CLOSED && Date.now() > listenedAtMs + AGAIN_MS)) listen();
      asking = !isLive();
      return asking ? PACE_MS : null;
    });
  }

  function stopAsking() {
    asking = false;
    stopPolling();
  }

  function listen() {
    listenedAtMs = Date.now();
    source = new EventSource(eventsUrl(id, batch.last_event_id));
    source.onopen = () => (stopAsking(), tellConnection(true), report(false));
    source.onerror = () => (asking || ask(), report(false)); // The browser comes back by itself; until then we ask.
    EVENTS.forEach((name) => source.addEventListener(name, hear));
  }

  function hear({ type, lastEventId, data }) {
    batch = takeIn(batch, { number: Number(lastEventId), name: type, data: JSON.parse(data) });
    report(isFinal(batch));
    if (type.startsWith("batch.") && isBehind(batch)) ask();
  }

  function take(next) {
    if (batch && next.last_event_id < batch.last_event_id) return;
    batch = next;
    report(true);
  }

  function notice() {
    clearTimeout(graceTimer);
    if (document.hidden) graceTimer = setTimeout(rest, HIDDEN_GRACE_MS);
    else if (resting) (resting = false), ask();
  }

  function rest() {
    resting = true;
    source?.close();
    ask();
  }

  function close() {
    clearTimeout(graceTimer);
    document.removeEventListener("visibilitychange", notice);
    stopAsking();
    source?.close();
  }

  document.addEventListener("visibilitychange", notice);
  notice();
  ask();
  return { take, close };
}

/** @param {unknown} error */
function isUnknown(error) {
  return error instanceof Problem && error.status < 500 && error.status !== 429;
}

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
