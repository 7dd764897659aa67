/** What is wrong or odd with data, gravest first: code, place, how many, examples, the way out. */
import { html } from "../../lib/dom.js";
import { number } from "../../lib/format.js";

/** @param {{errors?: any[], warnings?: any[], none?: any}} props `none`: what is said where there is nothing. */
export function Issues({ errors = [], warnings = [], none = "Nothing is wrong or odd." }) {
  if (errors.length + warnings.length === 0) return html`<p class="issue-none"><span class="badge good"><span class="dot" aria-hidden="true"></span>good</span> ${none}</p>`;
  return html`<div class="stack">
    <${Group} title="Errors" look="bad" issues=${errors} />
    <${Group} title="Warnings" look="warn" issues=${warnings} />
  </div>`;
}

function Group({ title, look, issues }) {
  if (issues.length === 0) return null;
  return html`<div>
    <h3 class="issue-head"><span class=${`badge ${look}`}><span class="dot" aria-hidden="true"></span>${issues.length}</span> ${title}</h3>
    <ul class="issues">${issues.map((issue) => html`<li class=${look}><${Issue} issue=${issue} /></li>`)}</ul>
  </div>`;
}

function Issue({ issue }) {
  const examples = issue.examples ?? [];
  return html`
    <p class="break">${issue.detail}</p>
    ${issue.hint && html`<p class="hint break">${issue.hint}</p>`}
    <p class="small muted break"><code>${issue.code}</code>${issue.pointer && html` at <code>${issue.pointer}</code>`}
      ${issue.count !== null && issue.count !== undefined && ` · ${number(issue.count)} in all`}</p>
    ${examples.length > 0 && html`<details class="small"><summary>Examples</summary>
      <ul>${examples.map((example) => html`<li class="break">${example}</li>`)}</ul></details>`}
  `;
}
