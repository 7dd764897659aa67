/** The fleet: which workers live, what they can do, what each is at, when it was heard of. */
import { html } from "../lib/dom.js";
import { ago, moment, plural, shortId } from "../lib/format.js";
import { useNow, usePolled } from "../lib/poll.js";
import { ProblemNote } from "../parts/problem.js";
import { Status } from "../parts/status.js";

export default function Workers() {
  const { data, problem } = usePolled("/v1/workers?limit=1000", 2);
  const waiting = usePolled("/v1/jobs?status=queued&limit=1000", 5);
  const now = useNow(1);
  const workers = data?.data ?? [];
  const alive = workers.filter((worker) => worker.state === "alive");
  const slots = alive.reduce((sum, worker) => sum + worker.slots, 0);
  const busy = alive.reduce((sum, worker) => sum + worker.busy, 0);
  const queued = waiting.data?.data ?? [];
  const served = new Set(alive.flatMap((worker) => worker.queues));
  const stranded = queued.filter((job) => !served.has(job.queue));
  return html`
    <h1>Workers</h1>
    <${ProblemNote} problem=${problem} stale=${data !== null} />
    ${stranded.length > 0 && html`<div class="note warn" role="alert">
      <p><strong>${plural(stranded.length, "job waits", "jobs wait")} in a queue that no worker serves:</strong>
        ${" "}${[...new Set(stranded.map((job) => job.queue))].join(", ")}.</p>
      <p class="hint">Start a worker with that queue, or cancel ${stranded.length === 1 ? "it" : "them"} and submit to another (scheduling.queue).</p>
    </div>`}
    <dl class="tiles">
      <div class="tile"><dt>Workers alive</dt><dd class="value">${alive.length}</dd></div>
      <div class="tile"><dt>Slots at work</dt><dd class="value">${busy} of ${slots}</dd></div>
      <div class="tile"><dt>GPUs</dt><dd class="value">${alive.reduce((sum, worker) => sum + worker.gpus.length, 0)}</dd></div>
      <div class="tile"><dt>Jobs that wait</dt><dd class="value">${queued.length}${waiting.data?.has_more && "+"}</dd></div>
    </dl>
    <section class="card" aria-label="Workers">
      ${data === null && !problem && html`<p class="loading" role="status">Loading…</p>`}
      ${data !== null && workers.length === 0 && html`<p class="empty">No worker was ever here. <code>gblend-server up</code> starts one with the service; <code>gblend-server worker</code> starts more.</p>`}
      ${workers.length > 0 && html`<div class="scroll"><table>
        <thead><tr><th scope="col">Worker</th><th scope="col">State</th><th scope="col">Slots</th><th scope="col">Queues</th><th scope="col">GPUs</th>
          <th scope="col">Holds leases on</th><th scope="col">Heard of</th><th scope="col">Started</th></tr></thead>
        <tbody>${workers.map(
          (worker) => html`<tr key=${worker.id}>
            <td class="break">${worker.host}<div class="small muted">process ${worker.pid}, version ${worker.version}</div></td>
            <td><${Status} status=${worker.state} /></td>
            <td><${Slots} busy=${worker.busy} slots=${worker.slots} /></td>
            <td>${worker.queues.join(", ")}</td>
            <td>${worker.gpus.length ? worker.gpus.join(", ") : html`<span class="muted">none</span>`}</td>
            <td>${worker.jobs.length ? worker.jobs.map((id) => html`<a class="nowrap" href=${`/jobs/${id}`}>${shortId(id)}</a>${" "}`) : html`<span class="muted">nothing</span>`}</td>
            <td class="nowrap"><time datetime=${worker.heartbeat_at} title=${moment(worker.heartbeat_at)}>${ago(worker.heartbeat_at, now)}</time></td>
            <td class="nowrap"><time datetime=${worker.started_at} title=${moment(worker.started_at)}>${ago(worker.started_at, now)}</time></td>
          </tr>`,
        )}</tbody>
      </table></div>`}
    </section>
  `;
}

/** A box for each slot; a number where there are many. */
function Slots({ busy, slots }) {
  const boxes = slots <= 16 && Array.from({ length: slots }, (_, index) => html`<i class=${index < busy ? "slot busy" : "slot"}></i>`);
  return html`<span class="slots"><span class="boxes" aria-hidden="true">${boxes}</span>${busy} of ${slots}</span>`;
}
