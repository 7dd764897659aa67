/** Addresses without page loads: links inside the dashboard change the address, and the page follows. */
import { useEffect, useState } from "./dom.js";

const changed = new EventTarget();

/** Go to an address of the dashboard. */
export function go(path, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", path);
  changed.dispatchEvent(new Event("change"));
  if (!replace) scrollTo(0, 0);
}

/** The address now, as a URL. */
export function useAddress() {
  const [href, setHref] = useState(location.href);
  useEffect(() => {
    const follow = () => setHref(location.href);
    addEventListener("popstate", follow);
    changed.addEventListener("change", follow);
    return () => {
      removeEventListener("popstate", follow);
      changed.removeEventListener("change", follow);
    };
  }, []);
  return new URL(href);
}

/** Change some of the address's query, without a new entry in the history. `null` removes. */
export function setQuery(changes) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "" || value === undefined) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  go(url.pathname + url.search, { replace: true });
}

/** A click on a link that this page can follow itself. For `onClick` of the whole document. */
export function follow(event, pages) {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest?.("a[href]");
  if (!link || link.target || link.hasAttribute("download")) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || !pages(url.pathname)) return;
  if (url.hash && url.pathname === location.pathname && url.search === location.search) return;
  event.preventDefault();
  go(url.pathname + url.search + url.hash);
}
