/** What can be done with a job in its state. */
import { post, remove } from "../../lib/api.js";
import { html, useRef, useState } from "../../lib/dom.js";
import { newKey } from "../../lib/keys.js";
import { go } from "../../lib/router.js";
import { Confirmed } from "../../parts/confirmed.js";
import { ProblemNote } from "../../parts/problem.js";

const PAUSABLE = new Set(["queued", "starting", "running"]);
const RESUMABLE = new Set(["paused", "pausing"]);
const RETRYABLE = new Set(["failed", "cancelled"]);

export function Actions({ job, refresh }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const once = useRef(newKey()); // a second click retries the same retry
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
      ${stoppable && html`<${Confirmed} label="Cancel" question="Cancel this job?" says="Its training stops. What it has told stays, and a retry goes on from its last checkpoint." disabled=${busy} onYes=${ask("cancel")} />`}
      ${RETRYABLE.has(job.status) && html`<button type="button" disabled=${busy} onClick=${retry}>Retry</button>`}
      ${job.result && html`<a class="button" href=${`/models/${job.id}`}>Model</a>`}
      <a class="button" href=${`/new?from=${job.id}`}>Use again</a>
      <a class="button" href=${`/compare?jobs=${job.id}`}>Compare</a>
      ${job.is_terminal && html`<${Confirmed} label="Delete" question="Delete this job?" says="Its events, artifacts, checkpoints and logs are gone at once, for everybody." disabled=${busy} onYes=${erase} />`}
    </div>
    <${ProblemNote} problem=${problem} />
  </div>`;
}
