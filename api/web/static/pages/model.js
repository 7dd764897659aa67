/** One model: what it answers with and why, how good it is, what it needs, its files, how to get it. */
import { colourNumbers } from "../lib/colours.js";
import { html, useEffect } from "../lib/dom.js";
import { bytes, fixed, moment, words } from "../lib/format.js";
import { usePolled } from "../lib/poll.js";
import { modalitiesOf, strategyOf } from "../lib/spec.js";
import { ProblemNote } from "../parts/problem.js";
import { Answer } from "./model/answer.js";
import { Card } from "./model/card.js";
import { Files } from "./model/files.js";
import { Usage } from "./model/usage.js";
import { Result } from "./job/result.js";

export default function Model({ id }) {
  const { data: job, problem } = usePolled(`/v1/jobs/${id}`, null);
  const artifacts = usePolled(job?.result ? `/v1/jobs/${id}/artifacts?limit=1000` : null, null);
  useEffect(() => {
    if (job) document.title = `${job.name ?? job.id} · model · gblend`;
  }, [job]);
  if (!job) return problem ? html`<h1>Model</h1><${ProblemNote} problem=${problem} />` : html`<p class="loading" role="status">Loading…</p>`;
  if (!job.result) {
    return html`<h1>${job.name ?? job.id}</h1>
      <div class="note warn"><p>There is no model: the job is ${job.status}. <a href=${`/jobs/${job.id}`}>Look at the job</a></p></div>`;
  }
  const { result } = job;
  const files = artifacts.data?.data ?? [];
  const colours = colourNumbers(result.test.map((measured) => measured.head));
  const metric = words(result.metric ?? "accuracy");
  const weights = files.filter((file) => file.kind === "model");
  return html`
    <div class="head">
      <div class="stack"><h1>${job.name ?? job.id}</h1>
        <div class="row small muted"><span>${strategyOf(job.spec)}</span><span>seed ${job.seed}</span><time datetime=${job.finished_at}>trained ${moment(job.finished_at)}</time></div></div>
      <div class="row"><a class="button" href=${`/jobs/${job.id}`}>How it was trained</a><a class="button" href=${`/new?from=${job.id}`}>Use its spec again</a></div>
    </div>
    <dl class="tiles">
      <div class="tile"><dt>Test ${metric} of the answer</dt><dd class="value">${fixed(result.test_score ?? result.test_accuracy, 3)}${result.test_score_se !== null && result.test_score_se !== undefined && html`<div class="sub">± ${fixed(result.test_score_se, 3)}</div>`}</dd></div>
      <div class="tile"><dt>Answers with</dt><dd class="value">${words(result.answer)}</dd></div>
      <div class="tile"><dt>Modalities</dt><dd class="value">${modalitiesOf(job.spec).join(" + ")}</dd></div>
      <div class="tile"><dt>Weights</dt><dd class="value">${artifacts.data ? bytes(weights.reduce((sum, file) => sum + file.bytes, 0)) : "…"}</dd></div>
    </dl>
    <${Answer} job=${job} colours=${colours} />
    <${Result} job=${job} colours=${colours} />
    <${ProblemNote} problem=${artifacts.problem} />
    ${artifacts.data && html`
      <${Card} file=${files.find((file) => file.kind === "card")} spec=${job.spec} colours=${colours} />
      <${Files} files=${files} />
      <${Usage} job=${job} files=${files} />`}
  `;
}
