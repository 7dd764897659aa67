/** One job: why each head has the weight it has, as it happens. */
import { html, useEffect } from "../lib/dom.js";
import { colourNumbers } from "../lib/colours.js";
import { useFeed } from "../lib/feed.js";
import { ago, duration, moment } from "../lib/format.js";
import { useNow, usePolled } from "../lib/poll.js";
import { strategyOf } from "../lib/spec.js";
import { GainsChart } from "../charts/gains.js";
import { LossCharts } from "../charts/losses.js";
import { OgrChart } from "../charts/ogr.js";
import { ScoreChart } from "../charts/score.js";
import { TimelineChart } from "../charts/timeline.js";
import { WeightsChart } from "../charts/weights.js";
import { ProblemNote } from "../parts/problem.js";
import { JobProgress } from "../parts/progress.js";
import { Status } from "../parts/status.js";
import { Actions } from "./job/actions.js";
import { Details } from "./job/details.js";
import { Flags } from "./job/flags.js";
import { Result } from "./job/result.js";
import { Summary } from "./job/summary.js";

const CONNECTION = {
  connecting: ["busy", "connecting"],
  live: ["good", "live"],
  lost: ["warn", "connection lost, trying again"],
};

export default function Job({ id }) {
  const { data: job, problem, refresh } = usePolled(`/v1/jobs/${id}`, 2);
  const feed = useFeed(id);
  useEffect(() => {
    if (job) document.title = `${job.name ?? job.id} · ${job.status} · gblend`;
  }, [job?.name, job?.status]);
  // What ends a job ends its stream too; the last answer shows its result at once.
  useEffect(() => refresh(), [feed?.state]);

  // Somebody deleted it: nobody will send its events any more.
  const isGone = problem?.status === 404;
  useEffect(() => {
    if (isGone) feed?.close();
  }, [isGone, feed]);

  if (!job) return problem ? html`<h1>Job</h1><${ProblemNote} problem=${problem} />` : html`<p class="loading" role="status">Loading…</p>`;
  const connection = !job.is_terminal && !isGone && CONNECTION[feed?.state];
  return html`
    <div class="head">
      <div class="stack tight">
        <h1>${job.name ?? job.id}</h1>
        <div class="row small muted">
          <${Status} status=${job.status} />
          ${connection && html`<span class=${`badge ${connection[0]}`} role="status">${connection[1]}</span>`}
          <span>${strategyOf(job.spec)}</span><span>seed ${job.seed}</span><${Times} job=${job} />
        </div>
      </div>
      <${Actions} job=${job} refresh=${refresh} />
    </div>
    <${ProblemNote} problem=${problem} stale />
    ${feed?.problem && html`<${ProblemNote} problem=${feed.problem} />`}
    ${!job.is_terminal && html`<${JobProgress} job=${job} wide />`}
    ${job.error && html`<${ProblemNote} problem=${{ ...job.error, detail: job.error.message }} />`}
    ${job.warnings.length > 0 && html`<details class="note warn"><summary>${job.warnings.length === 1 ? "A warning" : `${job.warnings.length} warnings`} about the data</summary>
      <ul>${job.warnings.map((warning) => html`<li>${warning.detail}<span class="hint"> ${warning.hint}</span></li>`)}</ul></details>`}
    ${feed && html`<${History} job=${job} feed=${feed} />`}
    <${Details} job=${job} feed=${feed} />
  `;
}

function History({ job, feed }) {
  const rows = feed.history();
  const heads = feed.run?.heads ?? rows[0]?.heads.map((head) => head.head) ?? [];
  const colours = colourNumbers([...heads, "heads_average"]);
  const counts = feed.run?.counts ?? {};
  const metric = feed.run?.metric ?? "accuracy";
  // V where there is one: it is what G and O are about. Metrics are those of validation, where they are not of V.
  const seen = counts.holdout ? "holdout" : "validation";
  const judged = counts.validation ? "validation" : "holdout";
  const measured = [...heads, ...(heads.length > 1 ? ["heads_average"] : [])];
  const shared = { rows, heads, colours, jobId: job.id };
  if (!feed.loaded) return feed.problem ? null : html`<p class="loading" role="status">Loading the history…</p>`;
  return html`
    <${Summary} job=${job} feed=${feed} rows=${rows} heads=${heads} />
    <div class="grid">
      <${WeightsChart} ...${shared} />
      <${OgrChart} ...${shared} />
      <${GainsChart} ...${shared} />
      <${ScoreChart} feed=${feed} heads=${measured} colours=${colours} jobId=${job.id} seen=${judged} metric=${metric} />
    </div>
    <${LossCharts} feed=${feed} heads=${heads} colours=${colours} jobId=${job.id} seen=${seen} />
    <${Flags} rows=${rows} job=${job} />
    <${Timeline} job=${job} feed=${feed} />
    ${job.result && html`<${Result} job=${job} colours=${colours} />`}
  `;
}

/** The phase of now grows. */
function Timeline({ job, feed }) {
  const now = useNow(job.is_terminal ? 3600 : 1);
  return html`<${TimelineChart} feed=${feed} jobId=${job.id} end=${job.finished_at ? Date.parse(job.finished_at) : now} />`;
}

function Times({ job }) {
  const now = useNow(job.is_terminal ? 60 : 1);
  const end = job.finished_at ? Date.parse(job.finished_at) : now;
  return html`<time datetime=${job.created_at} title=${moment(job.created_at)}>submitted ${ago(job.created_at, now)}</time>
    ${job.started_at && html`<span>${job.is_terminal ? "took" : "runs for"} ${duration(Math.max(0, Math.floor((end - Date.parse(job.started_at)) / 1000)))}</span>`}
    ${job.attempt > 1 && html`<span>attempt ${job.attempt}</span>`}`;
}
