/** Texts for a POSIX shell. */

/** A text as one word. */
export function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
