/** What training left: every job that succeeded, what its model scores and on which data. */
import { address, get } from "../lib/api.js";
import { html, useState } from "../lib/dom.js";
import { ago, bytes, moment, shortId, withError, words } from "../lib/format.js";
import { useNow, usePolled } from "../lib/poll.js";
import { setQuery } from "../lib/router.js";
import { modalitiesOf, strategyOf } from "../lib/spec.js";
import { ProblemNote } from "../parts/problem.js";

const PAGE = 50;
const SHOWN_OF_DIGEST = 10;

/** `sha256:b216410e8e…`: enough to tell two apart. */
const short = (fingerprint) => `${fingerprint.slice(0, fingerprint.indexOf(":") + 1 + SHOWN_OF_DIGEST)}…`;

export default function Models({ query }) {
  const text = query.get("q") ?? "";
  const fingerprint = query.get("data") ?? "";
  const { data, problem } = usePolled(address("/v1/jobs", { status: "succeeded", limit: PAGE }), 5);
  const [older, setOlder] = useState({ jobs: [], last: null, problem: null });
  const last = older.last ?? data;
  const known = new Set(data?.data.map((job) => job.id));
  const jobs = [...(data?.data ?? []), ...older.jobs.filter((job) => !known.has(job.id))];
  const shown = jobs.filter((job) => matches(job, text) && (!fingerprint || job.dataset_fingerprint === fingerprint));
  const loadMore = async () => {
    try {
      const page = await get(address("/v1/jobs", { status: "succeeded", limit: PAGE, after: last.next_after }));
      setOlder((old) => ({ jobs: [...old.jobs, ...page.data], last: page, problem: null }));
    } catch (failure) {
      setOlder((old) => ({ ...old, problem: failure }));
    }
  };
  return html`
    <h1>Models</h1>
    <form class="row" role="search" onSubmit=${(event) => event.preventDefault()}>
      <label for="models-text">Find</label>
      <input id="models-text" type="search" value=${text} placeholder="name, strategy, modality…" onInput=${(event) => setQuery({ q: event.target.value })} />
      ${fingerprint && html`<span class="small">Only those of the data <code>${short(fingerprint)}</code></span>
        <button type="button" onClick=${() => setQuery({ data: null })}>All data</button>`}
    </form>
    <${ProblemNote} problem=${problem} stale=${data !== null} />
    <section class="card" aria-label="Models">
      <p class="small muted">The answer's score on the test part, ± one standard error. Scores can be compared where the data are the same: press a fingerprint.</p>
      ${data === null && !problem && html`<p class="loading" role="status">Loading…</p>`}
      ${data !== null && shown.length === 0 && html`<div class="empty"><p>${jobs.length > 0 ? "No model is like that." : "No job has succeeded yet."}</p>
        ${jobs.length === 0 && html`<p><a class="button primary" href="/new">Train the first one</a></p>`}</div>`}
      ${shown.length > 0 && html`<${ModelTable} jobs=${shown} chosen=${fingerprint} />`}
      ${last?.has_more && html`<p><button type="button" onClick=${loadMore}>Older models</button></p>`}
      <${ProblemNote} problem=${older.problem} />
    </section>
  `;
}

function matches(job, text) {
  const wanted = text.trim().toLowerCase();
  const searched = [job.name, job.id, strategyOf(job.spec), job.result?.answer, ...modalitiesOf(job.spec), ...Object.entries(job.metadata).flat()];
  return !wanted || searched.some((value) => value?.toLowerCase().includes(wanted));
}

function ModelTable({ jobs, chosen }) {
  const now = useNow(30);
  return html`<div class="scroll"><table>
    <thead><tr><th scope="col">Model</th><th scope="col">Strategy</th><th scope="col" class="number">Test</th><th scope="col">Answers with</th><th scope="col">Data</th>
      <th scope="col" class="number">Size</th><th scope="col">Trained</th></tr></thead>
    <tbody>${jobs.map((job) => {
      const { result } = job;
      return html`<tr key=${job.id}>
        <td class="break model"><a href=${`/models/${job.id}`}>${job.name ?? shortId(job.id)}</a>
          <div class="small muted">${modalitiesOf(job.spec).join(" + ")}</div></td>
        <td>${strategyOf(job.spec)}<div class="small muted">seed ${job.seed}</div></td>
        <td class="number">${withError(result.test_score ?? result.test_accuracy, result.test_score_se, 3)}<div class="small muted">${words(result.metric ?? "accuracy")}</div></td>
        <td>${words(result.answer)}</td>
        <td>${job.dataset_fingerprint && html`<button type="button" class="quiet fingerprint" aria-pressed=${job.dataset_fingerprint === chosen ? "true" : "false"} title=${job.dataset_fingerprint}
          aria-label=${`Only models of the data ${short(job.dataset_fingerprint)}`} onClick=${() => setQuery({ data: job.dataset_fingerprint === chosen ? null : job.dataset_fingerprint })}><code>${short(job.dataset_fingerprint)}</code></button>`}</td>
        <td class="number"><${Size} jobId=${job.id} /></td>
        <td class="nowrap"><time datetime=${job.finished_at} title=${moment(job.finished_at)}>${ago(job.finished_at, now)}</time></td>
      </tr>`;
    })}</tbody>
  </table></div>`;
}

/** What the weights take. The list of jobs does not say it. */
function Size({ jobId }) {
  const { data, problem } = usePolled(`/v1/jobs/${jobId}/artifacts?limit=1000`, null);
  const weights = data?.data.filter((file) => file.kind === "model") ?? [];
  if (problem) return html`<span title=${problem.message}>?</span>`;
  return data ? bytes(weights.reduce((sum, file) => sum + file.bytes, 0)) : "";
}
