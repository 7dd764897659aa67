/** Texts of the service's documentation: `code` between backquotes, *emphasis* between stars. */
import { html } from "../lib/dom.js";

/** One paragraph's text. */
export function Inline({ text }) {
  return text.split(/(`[^`]+`|\*[^*\s][^*]*\*)/).map((piece, index) => {
    if (index % 2 === 0) return piece;
    return piece.startsWith("`") ? html`<code>${piece.slice(1, -1)}</code>` : html`<em>${piece.slice(1, -1)}</em>`;
  });
}

/** A text on one line, its paragraphs joined. */
export const joined = (text) => (text ?? "").split(/\s+/).join(" ").trim();
