/** Words and looks of the parts of a data set. */
import { html } from "../../lib/dom.js";

export const PARTS = ["train", "holdout", "validation", "test"];
const NAMES = { train: "train (T)", holdout: "holdout (V)" };

export const partName = (part) => NAMES[part] ?? part;

/** A part's name with its colour; a row that a job would drop belongs to none. */
export function Part({ part }) {
  if (part === null) return html`<span class="badge warn" title="A job would drop this row">no part</span>`;
  return html`<span class="badge part"><span class=${`swatch part-${part}`} aria-hidden="true"></span>${partName(part)}</span>`;
}
