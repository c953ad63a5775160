/** Asking again and again: at the pace the step wants, slower while the service is away. One connection state for all. */
import { Problem, Unreachable } from "./api.js";

const BACK_OFF_MS = [1_000, 2_000, 4_000, 8_000, 15_000];

/** @type {Set<(reachable: boolean) => void>} */
const listeners = new Set();

/** Be told whenever an answer came or failed to come. @param {(reachable: boolean) => void} listener */
export function watchConnection(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The service answered, or did not. @param {boolean} reachable */
export function tellConnection(reachable) {
  listeners.forEach((listener) => listener(reachable));
}

/**
 * Run `step` until it answers null or the returned function is called.
 * @param {() => Promise<number | null>} step Milliseconds until the next time, or null for the end.
 * @returns {() => void} Stops it.
 */
export function keepPolling(step) {
  let stopped = false;
  let misses = 0;
  let timer = 0;

  async function turn() {
    let waitMs;
    let reachable = true;
    try {
      waitMs = await step();
      misses = 0;
    } catch (error) {
      if (!isPassing(error)) throw error;
      waitMs = Math.max(error.waitMs ?? 0, BACK_OFF_MS[Math.min(misses++, BACK_OFF_MS.length - 1)]);
      reachable = error.status === 429; // It answers, only not so often.
    }
    if (stopped) return;
    tellConnection(reachable);
    if (waitMs !== null) timer = setTimeout(turn, waitMs);
  }

  turn();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/** @param {unknown} error */
function isPassing(error) {
  return error instanceof Unreachable || (error instanceof Problem && (error.status >= 500 || error.status === 429));
}
