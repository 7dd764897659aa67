/** All jobs, live: what waits, what runs and how far it is, what came of it. */
import { address, get } from "../lib/api.js";
import { html, useEffect, useState } from "../lib/dom.js";
import { ago, duration, fixed, moment, words } from "../lib/format.js";
import { useNow, usePolled } from "../lib/poll.js";
import { setQuery } from "../lib/router.js";
import { strategyOf } from "../lib/spec.js";
import { ProblemNote } from "../parts/problem.js";
import { JobProgress } from "../parts/progress.js";
import { Status } from "../parts/status.js";

const STATES = ["queued", "starting", "running", "paused", "succeeded", "failed", "cancelled"];
const PAGE = 50;

export default function Jobs({ query }) {
  const status = STATES.includes(query.get("status")) ? query.get("status") : "";
  const text = query.get("q") ?? "";
  const { data, problem } = usePolled(address("/v1/jobs", { status, limit: PAGE }), 2);
  const [older, setOlder] = useState({ status, jobs: [], cursor: null, done: false, problem: null });
  useEffect(() => setOlder({ status, jobs: [], cursor: null, done: false, problem: null }), [status]);

  const known = new Set(data?.data.map((job) => job.id));
  const jobs = [...(data?.data ?? []), ...older.jobs.filter((job) => !known.has(job.id))].filter((job) => matches(job, text));
  const more = data?.has_more && !older.done;
  const loadMore = async () => {
    try {
      const page = await get(address("/v1/jobs", { status, limit: PAGE, after: older.cursor ?? data.next_after }));
      setOlder((old) => ({ status, jobs: [...old.jobs, ...page.data], cursor: page.next_after, done: !page.has_more, problem: null }));
    } catch (failure) {
      setOlder((old) => ({ ...old, problem: failure }));
    }
  };

  return html`
    <div class="head">
      <h1>Jobs</h1>
      <a class="button primary" href="/new">New job</a>
    </div>
    <form class="row" role="search" onSubmit=${(event) => event.preventDefault()}>
      <label for="jobs-state">State</label>
      <select id="jobs-state" value=${status} onChange=${(event) => setQuery({ status: event.target.value })}>
        <option value="">all</option>
        ${STATES.map((state) => html`<option value=${state}>${state}</option>`)}
      </select>
      <label for="jobs-text">Find</label>
      <input id="jobs-text" type="search" value=${text} placeholder="name, strategy, modality…"
        onInput=${(event) => setQuery({ q: event.target.value })} />
    </form>
    <${ProblemNote} problem=${problem} stale=${data !== null} />
    <section class="card" aria-label="Jobs">
      ${data === null && !problem && html`<p class="loading" role="status">Loading…</p>`}
      ${data !== null && jobs.length === 0 && html`<${Nothing} filtered=${Boolean(status || text)} />`}
      ${jobs.length > 0 && html`<${JobTable} jobs=${jobs} />`}
      ${more && html`<p><button type="button" onClick=${loadMore}>Older jobs</button></p>`}
      <${ProblemNote} problem=${older.problem} />
    </section>
  `;
}

function matches(job, text) {
  const spec = job.spec;
  const searched = [
    job.name, job.id, strategyOf(spec), job.status_reason,
    ...(spec.dataset?.modalities ?? []).map((modality) => modality.name),
    ...Object.entries(job.metadata).flat(),
  ];
  const wanted = text.trim().toLowerCase();
  return !wanted || searched.some((value) => value?.toLowerCase().includes(wanted));
}

function Nothing({ filtered }) {
  if (filtered) return html`<p class="empty">No job is like that.</p>`;
  return html`<div class="empty">
    <p>There is no job yet.</p>
    <p><a class="button primary" href="/new">Make the first one</a></p>
  </div>`;
}

function JobTable({ jobs }) {
  const now = useNow(5);
  return html`<div class="scroll"><table class="jobs">
    <thead><tr>
      <th scope="col">Job</th><th scope="col">State</th><th scope="col">Progress</th><th scope="col">Strategy</th>
      <th scope="col" class="number">Test</th><th scope="col">Submitted</th>
    </tr></thead>
    <tbody>
      ${jobs.map(
        (job) => html`<tr key=${job.id}>
          <td class="break"><a href=${`/jobs/${job.id}`}>${job.name ?? job.id}</a>
            <div class="small muted">${(job.spec.dataset?.modalities ?? []).map((modality) => modality.name).join(" + ")}</div></td>
          <td><${Status} status=${job.status} />
            ${job.error && html`<div class="small bad-text break">${job.error.code}</div>`}</td>
          <td class="wide"><${JobProgress} job=${job} /></td>
          <td>${strategyOf(job.spec)}</td>
          <td class="number">${job.result ? html`${fixed(job.result.test_score ?? job.result.test_accuracy, 3)}<div class="small muted">${words(job.result.metric ?? "")}</div>` : ""}</td>
          <td class="nowrap"><time datetime=${job.created_at} title=${moment(job.created_at)}>${ago(job.created_at, now)}</time>
            <div class="small muted">${took(job, now)}</div></td>
        </tr>`,
      )}
    </tbody>
  </table></div>`;
}

function took(job, now) {
  if (!job.started_at) return "";
  const end = job.finished_at ? Date.parse(job.finished_at) : now;
  return `${job.is_terminal ? "took" : "for"} ${duration(Math.max(0, (end - Date.parse(job.started_at)) / 1000))}`;
}
