/** What this browser keeps for the page, as JSON; in a private window it lasts as long as the page. */
const memory = {};

/** @param {string} name @param {unknown} value */
export function keep(name, value) {
  memory[name] = value;
  try {
    localStorage.setItem(`slideloom.${name}`, JSON.stringify(value));
  } catch {
    // Storage is closed or full.
  }
}

/** What was kept under that name, else null. @param {string} name @returns {any} */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(`slideloom.${name}`)) ?? memory[name] ?? null;
  } catch {
    return memory[name] ?? null;
  }
}
