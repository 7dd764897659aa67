/** What a browser keeps for a page. One that may keep nothing (its user forbade it, or its disk is full) still works: the
 *  page itself remembers, until it is closed. */

const memory = new Map();

/** @param {"localStorage" | "sessionStorage"} kind @returns {string | null} */
export function recall(kind, key) {
  try {
    return window[kind].getItem(key) ?? memory.get(key) ?? null;
  } catch {
    return memory.get(key) ?? null;
  }
}

export function keep(kind, key, value) {
  memory.set(key, value);
  try {
    window[kind].setItem(key, value);
  } catch (error) {
    console.info(`Not kept beyond this page: ${error.message}`);
  }
}

export function forget(kind, key) {
  memory.delete(key);
  try {
    window[kind].removeItem(key);
  } catch (error) {
    console.info(`Nothing was kept: ${error.message}`);
  }
}
