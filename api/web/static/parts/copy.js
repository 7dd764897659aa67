/** A button that copies a text, and says that it did. */
import { html, useEffect, useState } from "../lib/dom.js";

export function CopyButton({ text, children = "Copy", label }) {
  const [told, setTold] = useState(null);
  useEffect(() => {
    const timer = told && setTimeout(() => setTold(null), 2000);
    return () => clearTimeout(timer);
  }, [told]);
  const copy = () =>
    navigator.clipboard.writeText(typeof text === "function" ? text() : text).then(
      () => setTold("Copied"),
      () => setTold("The browser did not allow it"),
    );
  return html`<button type="button" onClick=${copy} aria-label=${label}>${told ?? children}</button>
    <span class="hidden" role="status">${told}</span>`;
}
