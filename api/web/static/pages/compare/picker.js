/** Which jobs are compared. The choice is in the address. */
import { html, useState } from "../../lib/dom.js";
import { fixed } from "../../lib/format.js";
import { usePolled } from "../../lib/poll.js";
import { setQuery } from "../../lib/router.js";
import { strategyOf } from "../../lib/spec.js";
import { ProblemNote } from "../../parts/problem.js";

export function JobPicker({ chosen, most }) {
  const { data, problem } = usePolled("/v1/jobs?limit=200", 10);
  const [text, setText] = useState("");
  const jobs = (data?.data ?? []).filter((job) => chosen.includes(job.id) || `${job.name} ${job.id} ${strategyOf(job.spec)}`.toLowerCase().includes(text.trim().toLowerCase()));
  const toggle = (id) => setQuery({ jobs: (chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]).join(",") });
  return html`
    <div class="row"><label for="compare-find">Find</label><input id="compare-find" type="search" value=${text} onInput=${(event) => setText(event.target.value)} />
      <span class="small muted" role="status">${chosen.length} chosen</span>
      ${chosen.length > 0 && html`<button type="button" class="quiet" onClick=${() => setQuery({ jobs: null })}>Choose none</button>`}</div>
    <${ProblemNote} problem=${problem} stale=${data !== null} />
    <fieldset class="picker"><legend>Jobs</legend>${jobs.length === 0 && html`<p class="muted">No job is like that.</p>`}
      ${jobs.map((job) => html`<label key=${job.id} class="plain"><input type="checkbox" checked=${chosen.includes(job.id)} disabled=${!chosen.includes(job.id) && chosen.length >= most} onChange=${() => toggle(job.id)} />
        <span class="break">${job.name ?? job.id}</span> <span class="muted small">${strategyOf(job.spec)}, seed ${job.seed}, ${job.status}${job.result ? `, ${fixed(job.result.test_score ?? job.result.test_accuracy, 3)}` : ""}</span></label>`)}</fieldset>`;
}
