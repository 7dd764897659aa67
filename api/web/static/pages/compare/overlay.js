/** Curves of several jobs over each other: a metric of one head, and one head's weight. */
import { address, get } from "../../lib/api.js";
import { html, useEffect, useMemo, useRef, useState } from "../../lib/dom.js";
import { paint } from "../../lib/colours.js";
import { fileName } from "../../lib/csv.js";
import { duration, fixed, words } from "../../lib/format.js";
import { strategyOf } from "../../lib/spec.js";
import { ChartFrame } from "../../charts/frame.js";
import { aligned } from "../../charts/losses.js";
import { curveTable } from "../../charts/numbers.js";
import { Plot, axis, base, countAxis, uPlot } from "../../charts/plot.js";
import { ProblemNote } from "../../parts/problem.js";

const POINTS = 300;
const AGAIN_SECONDS = 5;
const SHORT = 60;

/** What is drawn of each job; asked for again while one of them moves. */
function useRuns(jobIds, head, metric) {
  const [runs, setRuns] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    const abort = new AbortController();
    let timer = null;
    const load = async () => {
      try {
        const found = await Promise.all(jobIds.map((id) => runOf(id, head, metric, abort.signal)));
        setRuns(found);
        setProblem(null);
        if (found.some((run) => !run.job.is_terminal)) timer = setTimeout(load, AGAIN_SECONDS * 1000);
      } catch (failure) {
        if (abort.signal.aborted) return;
        setProblem(failure);
        if (failure.isPassing) timer = setTimeout(load, 2 * AGAIN_SECONDS * 1000);
      }
    };
    load();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [jobIds.join(), head, metric]);
  return { runs, problem };
}

async function runOf(id, head, metric, signal) {
  const path = `/v1/jobs/${id}`;
  const [job, started, history] = await Promise.all([
    get(path, { signal }),
    get(address(`${path}/events`, { type: "run.started", limit: 1 }), { signal }),
    get(address(`${path}/super-epochs`, { max_points: POINTS }), { signal }),
  ]);
  const run = started.data[0]?.data ?? null;
  const heads = run ? [...run.heads, ...(run.heads.length > 1 ? ["heads_average"] : [])] : [];
  const shown = metric === "primary" ? (run?.metric ?? "accuracy") : metric;
  const split = run?.counts.validation ? "validation" : "holdout";
  const asked = head ?? (heads.includes("fused") ? "fused" : heads[0]);
  const points = heads.includes(asked) ? (await get(address(`${path}/metrics`, { scope: "epoch", head: asked, metric: shown, split, max_points: POINTS }), { signal })).data : [];
  return { job, heads, metric: shown, split, head: asked, points, rows: history.data };
}

/** Whether a run's weights were measured, and not given by a rule. */
const estimates = (run) => run.rows.some((row) => row.heads.some((head) => head.G !== null));

const SAME_LOOK = [[], [6, 4]];

export function Overlay({ jobIds }) {
  const [head, setHead] = useState(null);
  const [metric, setMetric] = useState("primary");
  const [weighed, setWeighed] = useState(null);
  const { runs, problem } = useRuns(jobIds, head, metric);
  if (!runs) return problem ? html`<${ProblemNote} problem=${problem} />` : html`<p class="loading" role="status">Loading…</p>`;
  const heads = [...new Set(runs.flatMap((run) => run.heads))];
  const estimated = [...new Set(runs.filter(estimates).flatMap((run) => run.rows.flatMap((row) => Object.keys(row.weights))))];
  const entries = runs.map((run, index) => ({ ...run, name: nameOf(run, runs), colour: index % 8, dash: SAME_LOOK[Math.floor(index / 8) % 2] }));
  const weightOf = weighed ?? estimated[0];
  return html`
    <${ProblemNote} problem=${problem} stale />
    <${Jobs} entries=${entries} />
    <div class="grid">
      <${Curves} entries=${entries} controls=${html`
        <label class="small row">Head <select value=${head ?? entries[0].head ?? ""} onChange=${(event) => setHead(event.target.value)}>${heads.map((one) => html`<option value=${one}>${one}</option>`)}</select></label>
        <label class="small row">Metric <select value=${metric} onChange=${(event) => setMetric(event.target.value)}><option value="primary">primary metric</option><option value="loss">loss</option></select></label>`} />
      ${estimated.length > 0 && html`<${WeightCurves} entries=${entries.filter(estimates)} head=${weightOf} controls=${html`
        <label class="small row">Head <select value=${weightOf} onChange=${(event) => setWeighed(event.target.value)}>${estimated.map((one) => html`<option value=${one}>${one}</option>`)}</select></label>`} />`}
    </div>`;
}

/** A job's name; its strategy and seed too where that is not enough. */
function nameOf({ job }, runs) {
  const name = job.name ?? job.id;
  const alike = runs.filter((other) => (other.job.name ?? other.job.id) === name).length > 1;
  const long = alike ? `${name} (${strategyOf(job.spec)}, seed ${job.seed})` : name;
  return long.length > SHORT ? `${long.slice(0, SHORT - 1)}…` : long;
}

function Jobs({ entries }) {
  return html`<section class="card" aria-label="Compared jobs"><div class="scroll"><table>
    <thead><tr><th scope="col">Job</th><th scope="col">Strategy</th><th scope="col" class="number">Seed</th><th scope="col">State</th><th scope="col" class="number">Test</th><th scope="col">Answer</th><th scope="col" class="number">Time</th></tr></thead>
    <tbody>${entries.map(({ job, name, colour }) => {
      const result = job.result;
      const seconds = result?.cost ? Object.values(result.cost).reduce((sum, cost) => sum + cost.seconds, 0) : null;
      return html`<tr key=${job.id}><th scope="row"><i class=${`swatch series-${colour}`} aria-hidden="true"></i> <a href=${`/jobs/${job.id}`}>${name}</a></th><td>${strategyOf(job.spec)}</td><td class="number">${job.seed}</td><td>${job.status}</td>
        <td class="number">${result ? fixed(result.test_score ?? result.test_accuracy, 3) : "–"}${result?.test_score_se ? ` ± ${fixed(result.test_score_se, 3)}` : ""}</td><td>${result ? words(result.answer) : "–"}</td><td class="number">${duration(seconds)}</td></tr>`;
    })}</tbody></table></div></section>`;
}

function Curves({ entries, controls }) {
  const picture = useRef({ plot: null }).current;
  const data = useMemo(() => aligned(...entries.map((entry) => entry.points)), [entries.map((entry) => entry.points.at(-1)?.seq).join(), entries[0].head, entries[0].metric]);
  const { metric, head } = entries[0];
  const options = (size) => base(size, {
    scales: { x: { time: false, range: (_, low, high) => [Math.min(low, high - 1), high] } },
    axes: [countAxis("epoch"), axis({ label: words(metric) })],
    series: [{}, ...entries.map((entry) => ({ label: entry.name, stroke: paint(entry.colour), dash: entry.dash, width: 2, points: { show: false }, spanGaps: true }))],
  });
  return html`<${ChartFrame} title=${`${words(metric)} of ${head ?? "a head"}`} name=${fileName("compare", metric, head)} picture=${picture} controls=${controls}
    says=${`After each epoch, on data that the training does not see (${[...new Set(entries.map((entry) => entry.split))].join(" or ")}). Good: ${metric === "loss" ? "low, and not rising at the end" : "high, early"}.`}
    legend=${entries.map((entry) => ({ name: entry.name, colour: entry.colour, value: fixed(entry.points.at(-1)?.value, 3) }))}
    table=${() => ({ columns: ["job", ...curveTable([]).columns], rows: entries.flatMap((entry) => curveTable([{ head: entry.head, split: entry.split, metric: entry.metric, points: entry.points }]).rows.map((row) => [entry.job.id, ...row])) })}
    empty=${entries.some((entry) => entry.points.length) ? null : "None of these jobs has measured that head."}
  ><${Plot} options=${options} data=${data} keep=${picture} shape=${entries.map((entry) => entry.job.id).join() + metric + head} label=${`${words(metric)} of ${head} in ${entries.length} jobs`} /><//>`;
}

/** Weights hold until the next super-epoch, the last ones for one more. */
function stepsOf(rows, head) {
  const steps = rows.map((row) => ({ epoch: row.super_epoch, value: row.weights[head] ?? null }));
  return [...steps, { ...steps.at(-1), epoch: steps.at(-1).epoch + 1 }];
}

function WeightCurves({ entries, head, controls }) {
  const picture = useRef({ plot: null }).current;
  const curves = entries.map((entry) => stepsOf(entry.rows, head));
  const data = useMemo(() => aligned(...curves), [entries.map((entry) => entry.rows.length).join(), head]);
  const options = (size) => base(size, {
    scales: { x: { time: false, range: (_, low, high) => [low, Math.max(high, low + 1)] }, y: { range: (_, __, high) => [0, Math.max(0.1, high) * 1.05] } },
    axes: [countAxis("super-epoch"), axis({ label: `weight of ${head}` })],
    series: [{}, ...entries.map((entry) => ({ label: entry.name, stroke: paint(entry.colour), dash: entry.dash, width: 2, points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }), spanGaps: true }))],
  });
  return html`<${ChartFrame} title=${`Weight of ${head}`} name=${fileName("compare", "weight", head)} picture=${picture} controls=${controls}
    says="The share of the loss that steers this head, by super-epoch. Good: runs that differ in their seed alone tell the same story."
    legend=${entries.map((entry) => ({ name: entry.name, colour: entry.colour, value: fixed(entry.rows.at(-1)?.weights[head], 2) }))}
    table=${() => ({ columns: ["job", "super_epoch", "weight"], rows: entries.flatMap((entry) => entry.rows.map((row) => [entry.job.id, row.super_epoch, row.weights[head] ?? null])) })}
  ><${Plot} options=${options} data=${data} keep=${picture} shape=${entries.map((entry) => entry.job.id).join() + head} label=${`Weight of ${head} in ${entries.length} jobs`} /><//>`;
}
