/** An experiment: strategies against each other over seeds, with intervals, and what each cost. */
import { address, post, remove } from "../lib/api.js";
import { html, useEffect, useState } from "../lib/dom.js";
import { fileName } from "../lib/csv.js";
import { fixed, moment, number, plural, words } from "../lib/format.js";
import { usePolled } from "../lib/poll.js";
import { go, setQuery, useAddress } from "../lib/router.js";
import { Dots, Scatter } from "../charts/dots.js";
import { ChartFrame } from "../charts/frame.js";
import { MeanWeights } from "../charts/mean_weights.js";
import { Confirmed } from "../parts/confirmed.js";
import { ProblemNote } from "../parts/problem.js";
import { Status } from "../parts/status.js";
import { HeadTable, StrategyTable } from "./experiment/tables.js";

export default function Experiment({ id }) {
  const reference = useAddress().searchParams.get("reference");
  const { data: experiment, problem, refresh } = usePolled(`/v1/experiments/${id}`, 3);
  const compared = usePolled(address(`/v1/experiments/${id}/comparison`, { reference }), 3);
  useEffect(() => {
    if (experiment) document.title = `${experiment.name ?? experiment.id} · ${experiment.status} · gblend`;
  }, [experiment?.name, experiment?.status]);
  if (!experiment) return problem ? html`<h1>Experiment</h1><${ProblemNote} problem=${problem} />` : html`<p class="loading" role="status">Loading…</p>`;
  const found = compared.data;
  const done = experiment.jobs.filter((job) => job.status === "succeeded").length;
  return html`
    <div class="head">
      <div class="stack tight"><h1>${experiment.name ?? experiment.id}</h1>
        <div class="row small muted"><${Status} status=${experiment.status} /><span>${plural(experiment.spec.strategies.length, "strategy", "strategies")}</span>
          <span>${plural(experiment.spec.seeds.length, "seed")}</span><span>${done} of ${plural(experiment.jobs.length, "job")} done</span><span>submitted ${moment(experiment.created_at)}</span></div></div>
      <${Actions} experiment=${experiment} refresh=${refresh} />
    </div>
    <${ProblemNote} problem=${problem ?? compared.problem} stale=${Boolean(found)} />
    ${experiment.warnings.length > 0 && html`<details class="note warn"><summary>${plural(experiment.warnings.length, "warning")} about the data</summary>
      <ul>${experiment.warnings.map((warning) => html`<li>${warning.detail}<span class="hint"> ${warning.hint}</span></li>`)}</ul></details>`}
    ${found && html`<${Comparison} found=${found} id=${id} />`}
    <${Jobs} experiment=${experiment} />
  `;
}

function Actions({ experiment, refresh }) {
  const [problem, setProblem] = useState(null);
  const act = (work) => () => work().then(refresh, setProblem);
  const path = `/v1/experiments/${experiment.id}`;
  return html`<div class="stack tight"><div class="row" role="group" aria-label="Actions">
    <a class="button" href=${`${path}/report`} target="_blank">Report</a>
    <a class="button" href=${`/compare?jobs=${experiment.jobs.slice(0, 12).map((job) => job.job_id).join(",")}`}>Overlay its jobs</a>
    ${!experiment.is_terminal && html`<${Confirmed} label="Cancel" question="Cancel all jobs that have not ended?" says="What has ended stays, and stays in the comparison." onYes=${act(() => post(`${path}/cancel`))} />`}
    ${experiment.is_terminal && html`<${Confirmed} label="Delete" question="Delete the experiment and all of its jobs?" says="It is gone at once, for everybody." onYes=${act(async () => {
      await remove(path);
      go("/compare");
    })} />`}
  </div><${ProblemNote} problem=${problem} /></div>`;
}

function Comparison({ found, id }) {
  const rows = found.strategies;
  const colours = Object.fromEntries(rows.map((row, index) => [row.strategy, index % 8]));
  const metric = words(found.metric);
  const measured = rows.filter((row) => row.test.mean !== null);
  const costs = measured.filter((row) => row.cost);
  const estimated = rows.filter((row) => row.super_epochs.length > 0);
  return html`
    <${Verdict} found=${found} />
    <section class="card" aria-label="Comparison">
      <div class="head"><h2>Comparison</h2>
        <label class="row small" for="reference">Differences to <select id="reference" value=${found.reference} onChange=${(event) => setQuery({ reference: event.target.value })}>
          ${rows.map((row) => html`<option value=${row.strategy}>${row.strategy}</option>`)}</select></label></div>
      <${StrategyTable} found=${found} colours=${colours} id=${id} />
    </section>
    <div class="grid">
      <${ChartFrame} title=${`Test ${metric}`} name=${fileName(id, found.metric)} picture=${{ svg: true }} empty=${measured.length ? null : "No job is done yet."}
        says="A dot for each seed, the mean and its 95 % interval. Good: far to the right, with intervals that do not overlap the others'."
        more="Intervals are Student's t over seeds. Strategies share splits and seeds, so the paired differences in the table are sharper than what these intervals show. With few seeds an interval reaches beyond the picture; the table has its ends. The star marks the best in hindsight: it was chosen on the test part, which flatters it."
        table=${() => ({ columns: ["strategy", "seed", "job", found.metric], rows: rows.flatMap((row) => row.scores.map((score) => [row.strategy, score.seed, score.job_id, score.score])) })}
      ><${Dots} label=${measured.map((row) => `${row.strategy}: ${fixed(row.test.mean, 3)}`).join("; ")} rows=${measured.map((row) => ({
        name: row.strategy, colour: colours[row.strategy], mean: row.test.mean, low: row.test.ci_low, high: row.test.ci_high, points: row.scores.map((score) => score.score), best: row.strategy === found.best,
      }))} /><//>
      <${ChartFrame} title="Cost against score" name=${fileName(id, "cost")} picture=${{ svg: true }} empty=${costs.length ? null : "No job is done yet."}
        says="What a run costs, against what it reaches. Good: up and to the left."
        more="Cost is counted in forward-and-backward passes of one sample through one head's network: the same on any machine, unlike seconds (in the table)."
        table=${() => ({ columns: ["strategy", "samples", "seconds", "mean", "ci_low", "ci_high"], rows: costs.map((row) => [row.strategy, row.cost.samples, row.cost.seconds, row.test.mean, row.test.ci_low, row.test.ci_high]) })}
      ><${Scatter} xLabel="passes of one sample through one head" yLabel=${metric} label="Cost against score"
        points=${costs.map((row) => ({ name: row.strategy, colour: colours[row.strategy], x: row.cost.samples, y: row.test.mean, low: row.test.ci_low, high: row.test.ci_high }))} /><//>
    </div>
    ${estimated.length > 0 && html`<div class="grid">${estimated.map((row) => html`<${MeanWeights} key=${row.strategy} strategy=${row.strategy} rows=${row.super_epochs} id=${id} />`)}</div>`}
    <section class="card" aria-label="Heads"><h2>Heads</h2>
      <p class="small muted">Test ${metric} of each head, whether it answers or not: mean ± standard deviation over seeds. Good: in G-Blend's rows no head is far below what it reaches alone.</p>
      <${HeadTable} rows=${rows} /></section>`;
}

function Verdict({ found }) {
  if (!found.best) return null;
  const best = found.strategies.find((row) => row.strategy === found.best);
  const clear = found.to_best.filter((row) => row.ci_high !== null && row.ci_high < 0).map((row) => row.strategy);
  const open = found.to_best.filter((row) => !clear.includes(row.strategy)).map((row) => row.strategy);
  return html`<section class="card" aria-label="In words"><h2>In words</h2><ul class="sentences">
    <li><b>${best.strategy}</b> has the highest mean so far: ${fixed(best.test.mean, 3)}${best.test.ci_low !== null && html` (95 % interval ${fixed(best.test.ci_low, 3)} to ${fixed(best.test.ci_high, 3)}, ${plural(best.test.n, "seed")})`}.</li>
    ${clear.length > 0 && html`<li>In pairs of seeds it is clearly above ${clear.join(", ")}.</li>`}
    ${open.length > 0 && html`<li>Not told apart from it: ${open.join(", ")}${found.strategies.some((row) => row.test.n < 2) ? " (one seed says nothing about spread)" : ""}.</li>`}
  </ul></section>`;
}

function Jobs({ experiment }) {
  const seeds = experiment.spec.seeds;
  const names = [...new Set(experiment.jobs.map((job) => job.strategy))];
  const at = new Map(experiment.jobs.map((job) => [`${job.strategy}|${job.seed}`, job]));
  return html`<section class="card" aria-label="Jobs"><h2>Jobs</h2><div class="scroll"><table>
    <thead><tr><th scope="col">Strategy</th>${seeds.map((seed) => html`<th scope="col">seed ${seed}</th>`)}</tr></thead>
    <tbody>${names.map((name) => html`<tr><th scope="row">${name}</th>${seeds.map((seed) => {
      const job = at.get(`${name}|${seed}`);
      return html`<td>${job && html`<a href=${`/jobs/${job.job_id}`} aria-label=${`${name}, seed ${seed}: ${job.status}`}><${Status} status=${job.status} note=${job.status === "running" && job.percent !== null ? `${number(Math.round(job.percent))} %` : null} /></a>`}</td>`;
    })}</tr>`)}</tbody></table></div></section>`;
}

