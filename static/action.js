/** Something the reader wants of the service: once at a time, and in words when it does not work. */
import { useRef, useState } from "./vendor/htm-preact.js";
import { Problem, Unreachable } from "./api.js";

/**
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
