/** What can be done with a job in its state. */
import { post, remove } from "../../lib/api.js";
import { html, useRef, useState } from "../../lib/dom.js";
import { go } from "../../lib/router.js";
import { ProblemNote } from "../../parts/problem.js";

const PAUSABLE = new Set(["queued", "starting", "running"]);
const RESUMABLE = new Set(["paused", "pausing"]);
const RETRYABLE = new Set(["failed", "cancelled"]);

export function Actions({ job, refresh }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const once = useRef(crypto.randomUUID()); // a second click retries the same retry
  const act = (work) => async () => {
    setBusy(true);
    setProblem(null);
    try {
      await work();
      refresh();
    } catch (failure) {
      setProblem(failure);
    }
    setBusy(false);
  };
  const ask = (verb) => act(() => post(`/v1/jobs/${job.id}/${verb}`));
  const retry = act(async () => go(`/jobs/${(await post(`/v1/jobs/${job.id}/retry`, undefined, { once: once.current })).id}`));
  const erase = act(async () => {
    await remove(`/v1/jobs/${job.id}`);
    go("/");
  });
  const stoppable = !job.is_terminal && job.status !== "cancelling";
  return html`<div class="stack tight">
    <div class="row" role="group" aria-label="Actions">
      ${PAUSABLE.has(job.status) && html`<button type="button" disabled=${busy} onClick=${ask("pause")}>Pause</button>`}
      ${RESUMABLE.has(job.status) && html`<button type="button" disabled=${busy} onClick=${ask("resume")}>Resume</button>`}
      ${stoppable && html`<${Sure} label="Cancel" question="Cancel this job?" says="Its training stops. What it has told stays, and a retry goes on from its last checkpoint." disabled=${busy} onYes=${ask("cancel")} />`}
      ${RETRYABLE.has(job.status) && html`<button type="button" disabled=${busy} onClick=${retry}>Retry</button>`}
      <a class="button" href=${`/new?from=${job.id}`}>Use again</a>
      <a class="button" href=${`/compare?jobs=${job.id}`}>Compare</a>
      ${job.is_terminal && html`<${Sure} label="Delete" question="Delete this job?" says="Its events, artifacts, checkpoints and logs are gone at once, for everybody." disabled=${busy} onYes=${erase} />`}
    </div>
    <${ProblemNote} problem=${problem} />
  </div>`;
}

/** A button that asks before it does something that cannot be undone. */
function Sure({ label, question, says, disabled, onYes }) {
  const dialog = useRef(null);
  const yes = () => {
    dialog.current.close();
    onYes();
  };
  return html`<button type="button" class="danger" disabled=${disabled} onClick=${() => dialog.current.showModal()}>${label}</button>
    <dialog ref=${dialog} aria-label=${question}>
      <h2>${question}</h2><p>${says}</p>
      <div class="row"><button type="button" class="danger" onClick=${yes}>${label} it</button>
        <button type="button" onClick=${() => dialog.current.close()}>Leave it</button></div>
    </dialog>`;
}
