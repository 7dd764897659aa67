/** Tabs, with the keys that people expect of them (WAI-ARIA Authoring Practices). */
import { html, useId, useRef } from "../lib/dom.js";

/** @param {{label: string, tabs: {key: string, title: any}[], value: string, onChange: (key: string) => void, children: any}} props */
export function Tabs({ label, tabs, value, onChange, children }) {
  const id = useId();
  const list = useRef(null);
  const move = (event) => {
    const at = tabs.findIndex((tab) => tab.key === value);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = (to + tabs.length) % tabs.length;
    onChange(tabs[next].key);
    list.current.children[next].focus();
  };
  return html`<div class="stack">
    <div class="tabs" role="tablist" aria-label=${label} ref=${list} onKeyDown=${move}>
      ${tabs.map(
        (tab) => html`<button
          type="button" role="tab" id=${`${id}-${tab.key}`} aria-selected=${tab.key === value ? "true" : "false"}
          aria-controls=${`${id}-panel`} tabindex=${tab.key === value ? 0 : -1} onClick=${() => onChange(tab.key)}
        >${tab.title}</button>`,
      )}
    </div>
    <div role="tabpanel" id=${`${id}-panel`} aria-labelledby=${`${id}-${value}`} class="stack" tabindex="0">${children}</div>
  </div>`;
}
