/** The spec as JSON, beside the form; and as a text to edit, which the form then follows. */
import { html, useEffect, useRef, useState } from "../../lib/dom.js";
import { CopyButton } from "../../parts/copy.js";
import { asCommand, asCurl, asPython, jsonText } from "./copies.js";
import { isObject } from "./schema.js";

/** `draft`: what the form holds; `submission`: what is sent, and where to. */
export function JsonView({ draft, spec, submission, change }) {
  const [isEdited, setEdited] = useState(false);
  return html`<div class="stack">
    <div class="head"><h2>${isEdited ? "The job spec as JSON" : "What is submitted"}</h2>
      <button type="button" aria-pressed=${isEdited ? "true" : "false"} onClick=${() => setEdited(!isEdited)}>Edit as JSON</button></div>
    ${isEdited
      ? html`<${Editor} draft=${draft} spec=${spec} change=${change} />`
      : html`<pre class="json" tabindex="0" aria-label="The body of the request">${jsonText(submission.body)}</pre>`}
    <div class="row" role="group" aria-label="Copy as">
      <${CopyButton} text=${() => asCurl(submission)}>Copy as curl<//>
      <${CopyButton} text=${() => asPython(submission)}>Copy as Python<//>
      <${CopyButton} text=${() => asCommand(submission)}>Copy as CLI<//>
      <${CopyButton} text=${() => `${jsonText(submission.body)}\n`}>Copy JSON<//>
    </div>
  </div>`;
}

function Editor({ draft, spec, change }) {
  const [text, setText] = useState(jsonText(spec));
  const [wrong, setWrong] = useState(null);
  const mine = useRef(draft);
  useEffect(() => {
    if (draft === mine.current) return;
    mine.current = draft; // the form was changed
    setText(jsonText(spec));
    setWrong(null);
  }, [draft, spec]);
  const onInput = (event) => {
    setText(event.target.value);
    const { value, problem } = parsed(event.target.value);
    setWrong(problem);
    if (problem) return;
    mine.current = value;
    change(value);
  };
  return html`<div class="field">
    <textarea aria-label="Job spec as JSON" rows="22" spellcheck=${false} value=${text} aria-invalid=${wrong ? "true" : undefined} aria-describedby="json-said" onInput=${onInput}></textarea>
    <p id="json-said" class=${wrong ? "bad-text small" : "help"} role="status">${wrong ?? "The form follows what is written here. What says no more than the defaults do is left out of what is submitted."}</p>
  </div>`;
}

function parsed(text) {
  try {
    const value = JSON.parse(text);
    return isObject(value) ? { value, problem: null } : { value: null, problem: "A job spec is an object: it begins with { and ends with }." };
  } catch (error) {
    return { value: null, problem: `This is not JSON yet: ${error.message}.` };
  }
}
