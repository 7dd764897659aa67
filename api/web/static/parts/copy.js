/** A button that copies a text, and says that it did. */
import { html, useEffect, useState } from "../lib/dom.js";

export function CopyButton({ text, children = "Copy", label }) {
  const [told, setTold] = useState(null);
  useEffect(() => {
    const timer = told && setTimeout(() => setTold(null), 2000);
    return () => clearTimeout(timer);
  }, [told]);
  const copy = async () => {
    try {
      await written(typeof text === "function" ? text() : text);
      setTold("Copied");
    } catch {
      setTold("The browser did not allow it");
    }
  };
  return html`<button type="button" onClick=${copy} aria-label=${label}>${told ?? children}</button>
    <span class="hidden" role="status">${told}</span>`;
}

/** Put a text on the clipboard. */
async function written(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Not a secure origin: a service in a plain network. The old way still works there.
  const area = Object.assign(document.createElement("textarea"), { value: text, className: "hidden" });
  const had = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  had?.focus();
  if (!done) throw new Error("not allowed");
}
