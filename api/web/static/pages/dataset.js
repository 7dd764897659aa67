/** One registered data set: what was found wrong or odd, what it holds, and its samples. */
import { post, remove } from "../lib/api.js";
import { html, useState } from "../lib/dom.js";
import { ago, moment, plural } from "../lib/format.js";
import { usePolled } from "../lib/poll.js";
import { go, setQuery } from "../lib/router.js";
import { CopyButton } from "../parts/copy.js";
import { ProblemNote } from "../parts/problem.js";
import { Issues } from "./dataset/issues.js";
import { Samples } from "./dataset/samples.js";
import { Modalities, Overview } from "./dataset/statistics.js";

export default function DatasetPage({ id, query }) {
  const { data, problem } = usePolled(`/v1/datasets/${id}`, null);
  const showClass = (name, part) => {
    setQuery({ part, class: name });
    document.getElementById("samples")?.scrollIntoView();
  };
  if (!data) {
    return html`<h1>Data set</h1><${ProblemNote} problem=${problem} />
      ${problem ? html`<p><a href="/datasets">All data sets</a></p>` : html`<p class="loading" role="status">Loading…</p>`}`;
  }
  const metadata = Object.entries(data.metadata);
  return html`
    <div class="head">
      <div><h1>${data.name ?? data.id}</h1>
        <p class="small muted break">${data.name && html`<code>${data.id}</code> · `}registered <time datetime=${data.created_at} title=${moment(data.created_at)}>${ago(data.created_at)}</time>
          ${" · "}<code>${data.spec.dataset.source.uri}</code></p>
        ${metadata.length > 0 && html`<p class="row">${metadata.map(([key, value]) => html`<span class="badge break">${key}: ${value}</span>`)}</p>`}
      </div>
      <a class="button primary" href=${`/new?dataset=${data.id}`}>Start a job with it</a>
    </div>
    <${ProblemNote} problem=${problem} stale=${true} />
    <${Report} dataset=${data} />
    <${Overview} statistics=${data.statistics} onClass=${showClass} />
    <${Samples} id=${id} query=${query} statistics=${data.statistics} />
    <${Modalities} statistics=${data.statistics} />
    <section class="card" aria-label="Spec">
      <details><summary><h2 class="inline">Spec</h2></summary>
        <div class="stack">
          <p class="small muted break">Fingerprint <code>${data.fingerprint}</code></p>
          <pre tabindex="0">${JSON.stringify(data.spec, null, 2)}</pre>
          <div class="row"><${CopyButton} text=${JSON.stringify(data.spec, null, 2)}>Copy the spec<//><${Forget} id=${id} /></div>
        </div>
      </details>
    </section>
  `;
}

/** What was found when it was registered; or, once somebody has looked again, what is found now. */
function Report({ dataset }) {
  const [again, setAgain] = useState({ isBusy: false, found: null, problem: null });
  const look = async () => {
    setAgain((old) => ({ ...old, isBusy: true, problem: null }));
    try {
      setAgain({ isBusy: false, found: await post("/v1/datasets/validate", dataset.spec), problem: null });
    } catch (problem) {
      setAgain((old) => ({ ...old, isBusy: false, problem }));
    }
  };
  const found = again.found;
  const same = found && found.fingerprint === dataset.fingerprint;
  return html`<section class="card" aria-label="Validation">
    <div class="head"><h2>Validation</h2>
      <button type="button" onClick=${look} disabled=${again.isBusy}>${again.isBusy ? "Looking…" : "Look again"}</button></div>
    <${ProblemNote} problem=${again.problem} stale=${true} />
    <div role="status">${found && html`<p class="small">${same
      ? "Looked at just now: the data are those that were registered."
      : found.valid
        ? "Looked at just now: the data are others than were registered. This is what is found now:"
        : `Looked at just now: a job could not train on them any more (${plural(found.errors.length, "error")}).`}</p>`}</div>
    ${found
      ? html`<${Issues} errors=${found.errors} warnings=${found.warnings} />`
      : html`<${Issues} warnings=${dataset.warnings} none="Nothing was wrong or odd when it was registered." />`}
  </section>`;
}

function Forget({ id }) {
  const [isAsked, setAsked] = useState(false);
  const [problem, setProblem] = useState(null);
  const forget = () => remove(`/v1/datasets/${id}`).then(() => go("/datasets"), setProblem);
  if (!isAsked) return html`<button type="button" class="danger" onClick=${() => setAsked(true)}>Forget it…</button>`;
  return html`<span class="small">The registration goes; data and jobs stay.</span>
    <button type="button" class="danger" onClick=${forget}>Forget it</button>
    <button type="button" onClick=${() => setAsked(false)}>Keep it</button>
    <${ProblemNote} problem=${problem} />`;
}
