/** Jobs side by side: experiments as tables, any jobs as curves over each other. */
import { html } from "../lib/dom.js";
import { ago, plural } from "../lib/format.js";
import { useNow, usePolled } from "../lib/poll.js";
import { ProblemNote } from "../parts/problem.js";
import { Status } from "../parts/status.js";
import { Overlay } from "./compare/overlay.js";
import { JobPicker } from "./compare/picker.js";

const MOST_JOBS = 12;

export default function Compare({ query }) {
  const chosen = [...new Set((query.get("jobs") ?? "").split(",").filter((id) => /^job_[\w-]{1,60}$/.test(id)))].slice(0, MOST_JOBS);
  return html`
    <h1>Compare</h1>
    <${Experiments} />
    <section class="card stack" aria-label="Overlay">
      <h2>Jobs over each other</h2>
      <p class="small muted">Curves of up to ${MOST_JOBS} jobs. Differences between single runs are mostly noise: an experiment repeats them over seeds, and says how sure one can be.</p>
      <${JobPicker} chosen=${chosen} most=${MOST_JOBS} />
    </section>
    ${chosen.length > 0 && html`<${Overlay} key=${chosen.join()} jobIds=${chosen} />`}
  `;
}

function Experiments() {
  const { data, problem } = usePolled("/v1/experiments?limit=50", 5);
  const now = useNow(10);
  const experiments = data?.data ?? [];
  return html`<section class="card" aria-label="Experiments">
    <h2>Experiments</h2>
    <${ProblemNote} problem=${problem} stale=${data !== null} />
    ${data && experiments.length === 0 && html`<p class="muted">None yet. An experiment trains several strategies with several seeds on the same splits: <code>gblend compare SPEC</code>, or <code>POST /v1/experiments</code>.</p>`}
    ${experiments.length > 0 && html`<div class="scroll"><table>
      <thead><tr><th scope="col">Experiment</th><th scope="col">State</th><th scope="col">Jobs</th><th scope="col">Strategies</th><th scope="col">Submitted</th></tr></thead>
      <tbody>${experiments.map((one) => html`<tr key=${one.id}>
        <td class="break"><a href=${`/experiments/${one.id}`}>${one.name ?? one.id}</a></td><td><${Status} status=${one.status} /></td>
        <td class="nowrap">${one.counts.succeeded ?? 0} of ${plural(Object.values(one.counts).reduce((sum, count) => sum + count, 0), "job")} done</td>
        <td>${one.spec.strategies.map((strategy) => strategy.name ?? strategy).join(", ")}</td><td class="nowrap">${ago(one.created_at, now)}</td></tr>`)}</tbody></table></div>`}
  </section>`;
}
