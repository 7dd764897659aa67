/** What went wrong, in the service's own words, and the way out. */
import { html } from "../lib/dom.js";

/** One of a problem's errors, or a warning: where, what, hint. */
export function IssueLine({ issue }) {
  return html`<li>
    ${issue.pointer && html`<code>${issue.pointer}</code>${" "}`}${issue.detail}
    ${issue.hint && html`<span class="hint"> ${issue.hint}</span>`}
  </li>`;
}

/** Nothing where there is no problem. `stale`: an older answer is still shown. */
export function ProblemNote({ problem, stale = false }) {
  if (!problem) return null;
  const errors = problem.errors ?? [];
  return html`<div class=${`note ${stale ? "warn" : "bad"}`} role="alert">
    <p><strong>${problem.detail ?? problem.message}</strong>${problem.hint && html`<span class="hint"> ${problem.hint}</span>`}</p>
    ${errors.length > 0 && html`<ul>${errors.map((issue) => html`<${IssueLine} issue=${issue} />`)}</ul>`}
    ${stale && html`<p class="small">What is shown is the last that came.</p>`}
    ${problem.code && html`<p class="small muted">${problem.code}${problem.requestId && ` · ${problem.requestId}`}</p>`}
  </div>`;
}
