/** The door: who is in, by a token, and what waits for somebody to come in. */
import { useEffect, useState } from "./vendor/htm-preact.js";

/**
 * @typedef {{closed: boolean, asking: boolean, name: string | null}} Door
 *   closed: the service wants a token. asking: the reader is asked for one. name: of who is in.
 */

/** @type {Door} */
let door = { closed: false, asking: false, name: null };
/** @type {Set<(door: Door) => void>} */
const watchers = new Set();
/** @type {((isIn: boolean) => void)[]} */
let waiting = [];

/** @param {Partial<Door>} part */
function change(part) {
  door = { ...door, ...part };
  watchers.forEach((tell) => tell(door));
}

/** Ask the reader for a token; all who want that at once share one question. @returns {Promise<boolean>} Whether somebody came in. */
export function askIn() {
  return new Promise((resolve) => {
    waiting.push(resolve);
    change({ closed: true, asking: true, name: null });
  });
}

/** The answer: the name that came in, or null for not now. @param {string | null} name */
export function answerDoor(name) {
  change({ closed: true, asking: false, name });
  waiting.splice(0).forEach((resolve) => resolve(name !== null));
}

/** Once somebody has come in. @returns {Promise<void>} */
export function untilIn() {
  return new Promise((resolve) => {
    const look = ({ name }) => name !== null && (watchers.delete(look), resolve());
    watchers.add(look);
  });
}

/** @returns {Door} */
export function useDoor() {
  const [seen, setSeen] = useState(door);
  useEffect(() => {
    setSeen(door);
    watchers.add(setSeen);
    return () => watchers.delete(setSeen);
  }, []);
  return seen;
}
