/** Light and dark: the system's choice until the reader makes another. */
import { html, useEffect, useState } from "../lib/dom.js";
import { keep, recall } from "../lib/storage.js";

const KEY = "gblend.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** What charts listen to: a canvas does not repaint itself when colours change. */
export const themeChanged = new EventTarget();

const chosen = () => recall("localStorage", KEY);
const current = () => chosen() ?? (system.matches ? "dark" : "light");

function apply() {
  document.documentElement.dataset.theme = current();
  themeChanged.dispatchEvent(new Event("change"));
}

/** Set the theme, and follow the system's. */
export function startTheme() {
  apply();
  system.addEventListener("change", apply);
}

/** Changes between the two. */
export function ThemeButton() {
  const [theme, setTheme] = useState(current());
  const other = theme === "dark" ? "light" : "dark";
  useEffect(() => {
    const follow = () => setTheme(current());
    themeChanged.addEventListener("change", follow);
    return () => themeChanged.removeEventListener("change", follow);
  }, []);
  const toggle = () => {
    keep("localStorage", KEY, other);
    apply();
  };
  return html`<button type="button" class="quiet" onClick=${toggle} aria-label=${`Change to the ${other} theme`}>
    <span aria-hidden="true">${theme === "dark" ? "☀" : "☾"}</span>
  </button>`;
}
