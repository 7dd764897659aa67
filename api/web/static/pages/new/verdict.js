/** What the service says of the form as a whole: every issue, each with a link to its field. */
import { html } from "../../lib/dom.js";
import { plural } from "../../lib/format.js";
import { ProblemNote } from "../../parts/problem.js";
import { focusOn, idOf, isShown, named, wantedBy } from "./paths.js";

/** `onRename(path, name)`: an unknown field gets a name that the service knows, or with `null` goes. */
export function Verdict({ form, validation, onRename }) {
  const { issues } = form;
  const of = (level) => issues.filter((issue) => issue.level === level);
  const [errors, needed, warnings] = ["error", "needed", "warning"].map(of);
  const line = validation.state === "checking" ? "Checking…"
    : validation.problem ? "Not checked"
    : errors.length ? `${plural(errors.length, "thing is", "things are")} wrong`
    : needed.length ? `${plural(needed.length, "field")} still needed`
    : validation.state === "valid" ? "Ready to submit" : "Checking…";
  return html`<div class="verdict stack">
    <p role="status" class=${errors.length ? "bad-text" : validation.state === "valid" ? "good-text" : ""}><strong>${line}</strong></p>
    <${ProblemNote} problem=${validation.problem} />
    <${Issues} title="To correct" look="bad" issues=${errors} onRename=${onRename} />
    <${Issues} title="Still needed" look="" issues=${needed} />
    <${Issues} title="Worth a look" look="warn" issues=${warnings} />
  </div>`;
}

function Issues({ title, look, issues, onRename }) {
  if (issues.length === 0) return null;
  return html`<div class=${`note ${look}`}><p><strong>${title}</strong></p><ul>
    ${issues.map((issue) => html`<li>
      ${issue.path.length > 0 && html`<a href=${`#${idOf(issue.path)}`} onClick=${(event) => follow(event, issue.path)}>${named(issue.path)}</a>: `}${issue.detail}
      ${look !== "" && issue.hint && html` <span class="hint">(${issue.hint})</span>`}
      ${issue.code === "spec.unknown_field" && onRename && html`<${Unknown} issue=${issue} onRename=${onRename} />`}
      ${issue.path.length > 0 && !isShown(issue.path) && look !== "warn" && html` <span class="small muted">(no field of this form; see the JSON)</span>`}
    </li>`)}
  </ul></div>`;
}

function Unknown({ issue, onRename }) {
  const wanted = wantedBy(issue);
  return html`
    ${wanted !== null && html` <button type="button" class="quiet" onClick=${() => onRename(issue.path, wanted)}>Call it “${wanted}”</button>`}
    ${" "}<button type="button" class="quiet" onClick=${() => onRename(issue.path, null)}>Remove it</button>`;
}

function follow(event, path) {
  event.preventDefault();
  focusOn(path);
}
