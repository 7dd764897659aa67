/** Data sets that are registered, and a form that looks at one and registers it. */
import { address, get, post, Problem } from "../lib/api.js";
import { html, useEffect, useRef, useState } from "../lib/dom.js";
import { ago, moment, number, plural } from "../lib/format.js";
import { useNow, usePolled } from "../lib/poll.js";
import { go } from "../lib/router.js";
import { ProblemNote } from "../parts/problem.js";
import { Issues } from "./dataset/issues.js";
import { Modalities, Overview } from "./dataset/statistics.js";

const PAGE = 50;
const EXAMPLE = `{
  "source": {"type": "manifest", "uri": "data://clips/manifest.csv"},
  "target": {"column": "label"},
  "modalities": [
    {"name": "voice", "type": "audio", "column": "sound"},
    {"name": "face", "type": "image", "column": "picture"}
  ]
}`;

export default function Datasets() {
  const { data, problem, refresh } = usePolled(address("/v1/datasets", { limit: PAGE }), 10);
  const [older, setOlder] = useState({ rows: [], last: null, problem: null });
  const known = new Set(data?.data.map((row) => row.id));
  const rows = [...(data?.data ?? []), ...older.rows.filter((row) => !known.has(row.id))];
  const last = older.last ?? data;
  const loadMore = async () => {
    try {
      const page = await get(address("/v1/datasets", { limit: PAGE, after: last.next_after }));
      setOlder((old) => ({ rows: [...old.rows, ...page.data], last: page, problem: null }));
    } catch (failure) {
      setOlder((old) => ({ ...old, problem: failure }));
    }
  };
  return html`
    <h1>Data sets</h1>
    <${ProblemNote} problem=${problem} stale=${data !== null} />
    <section class="card" aria-label="Registered data sets">
      <h2>Registered</h2>
      ${data === null && !problem && html`<p class="loading" role="status">Loading…</p>`}
      ${data !== null && rows.length === 0 && html`<p class="empty">No data set is registered yet. Look at one below; jobs can then name it.</p>`}
      ${rows.length > 0 && html`<${Table} rows=${rows} />`}
      ${last?.has_more && html`<p><button type="button" onClick=${loadMore}>Older data sets</button></p>`}
      <${ProblemNote} problem=${older.problem} />
    </section>
    <${Form} onRegistered=${refresh} />
  `;
}

function Table({ rows }) {
  const now = useNow(30);
  return html`<div class="scroll"><table class="datasets">
    <thead><tr><th scope="col">Data set</th><th scope="col" class="number">Rows</th><th scope="col" class="number">Classes</th><th scope="col">Modalities</th>
      <th scope="col">Report</th><th scope="col">Registered</th></tr></thead>
    <tbody>${rows.map(
      (row) => html`<tr key=${row.id}>
        <td class="break name"><a href=${`/datasets/${row.id}`}>${row.name ?? row.id}</a><div class="small muted">${row.spec.dataset.source.uri}</div></td>
        <td class="number">${number(row.statistics.rows)}</td>
        <td class="number">${row.statistics.target?.type === "regression" ? "a number" : number(row.statistics.target?.class_count)}</td>
        <td class="names">${row.spec.dataset.modalities.map((modality) => html`<span class="badge">${modality.name}: ${modality.type}</span>${" "}`)}</td>
        <td>${row.warnings.length
          ? html`<span class="badge warn"><span class="dot" aria-hidden="true"></span>${plural(row.warnings.length, "warning")}</span>`
          : html`<span class="badge good"><span class="dot" aria-hidden="true"></span>good</span>`}</td>
        <td class="nowrap"><time datetime=${row.created_at} title=${moment(row.created_at)}>${ago(row.created_at, now)}</time></td>
      </tr>`,
    )}</tbody>
  </table></div>`;
}

/** The part of a spec that is about data: of a job's, an experiment's, a registration, or a data set alone. */
export function registrationOf(text) {
  let spec;
  try {
    spec = JSON.parse(text);
  } catch (error) {
    throw new Problem({ code: "spec.not_json", detail: `This is not JSON: ${error.message}`, hint: "For YAML there is the command: gblend validate spec.yaml, gblend register spec.yaml." });
  }
  const job = spec?.job ?? spec;
  if (job?.dataset !== undefined) {
    return Object.fromEntries(["name", "metadata", "dataset", "holdout", "seed"].filter((key) => key in job).map((key) => [key, job[key]]));
  }
  if (job?.source !== undefined) return { dataset: job };
  throw new Problem({ code: "spec.no_dataset", detail: "The spec has no “dataset”.", hint: "It is a job's, an experiment's, a registration, or a data set alone (source, target, modalities)." });
}

function Form({ onRegistered }) {
  const [text, setText] = useState("");
  const [name, setName] = useState("");
  const [place, setPlace] = useState("");
  const [state, setState] = useState({ doing: null, found: null, guess: null, problem: null });
  const key = useRef(null);
  const report = useRef(null);
  const result = state.found ?? state.guess ?? state.problem;
  useEffect(() => {
    if (result) report.current?.scrollIntoView({ block: "nearest" });
  }, [result]);

  const run = async (doing, work) => {
    setState({ doing, found: null, guess: null, problem: null });
    try {
      setState({ doing: null, found: null, guess: null, problem: null, ...(await work()) });
    } catch (problem) {
      setState({ doing: null, found: null, guess: null, problem });
    }
  };
  const body = () => ({ ...registrationOf(text), ...(name.trim() && { name: name.trim() }) });
  const validate = () => run("look", async () => ({ found: await post("/v1/datasets/validate", body()) }));
  const register = () =>
    run("register", async () => {
      const wanted = body();
      const told = JSON.stringify(wanted);
      // The same body is registered once, however often the button is pressed.
      if (key.current?.told !== told) key.current = { told, once: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` };
      const made = await post("/v1/datasets", wanted, { once: key.current.once });
      onRegistered();
      go(`/datasets/${made.id}`);
      return {};
    });
  const guess = () =>
    run("guess", async () => {
      const found = await post("/v1/datasets/infer", { uri: place.trim() });
      setText(JSON.stringify({ dataset: found.dataset, ...(Object.keys(found.holdout).length && { holdout: found.holdout }) }, null, 2));
      return { guess: found };
    });

  return html`<section class="card stack" aria-label="Look at a data set">
    <h2>Look at a data set, and register it</h2>
    <form class="row" onSubmit=${(event) => (event.preventDefault(), guess())}>
      <label for="ds-place">Guess the spec of what lies at</label>
      <input id="ds-place" class="grow" value=${place} placeholder="data://clips/manifest.csv" onInput=${(event) => setPlace(event.target.value)} spellcheck="false" />
      <button type="submit" disabled=${!place.trim() || state.doing !== null}>${state.doing === "guess" ? "Guessing…" : "Guess"}</button>
    </form>
    <form class="stack" onSubmit=${(event) => (event.preventDefault(), validate())}>
      <label for="ds-spec">Spec, as JSON: of a data set, or of a job that has one</label>
      <textarea id="ds-spec" rows="12" value=${text} placeholder=${EXAMPLE} onInput=${(event) => setText(event.target.value)} spellcheck="false"></textarea>
      <div class="row">
        <label for="ds-name">Name</label>
        <input id="ds-name" value=${name} maxlength="200" onInput=${(event) => setName(event.target.value)} placeholder="optional" />
        <span class="grow"></span>
        <button type="submit" disabled=${!text.trim() || state.doing !== null}>${state.doing === "look" ? "Looking…" : "Look at it"}</button>
        <button type="button" class="primary" disabled=${!text.trim() || state.doing !== null} onClick=${register}>${state.doing === "register" ? "Registering…" : "Register"}</button>
      </div>
    </form>
    <div ref=${report} class="stack" role="status">
      <${ProblemNote} problem=${state.problem} />
      ${state.guess && html`<${Guess} guess=${state.guess} />`}
      ${state.found && html`<p><strong>${state.found.valid ? "It can be registered and trained on." : "A job could not train on it as it is."}</strong></p>`}
    </div>
    ${state.found && html`<${Issues} errors=${state.found.errors} warnings=${state.found.warnings} />
      ${state.found.statistics && html`<${Overview} statistics=${state.found.statistics} /><${Modalities} statistics=${state.found.statistics} />`}`}
  </section>`;
}

function Guess({ guess }) {
  const notes = Object.entries(guess.notes);
  const left = Object.entries(guess.left_out);
  return html`<div class="note">
    <p><strong>A guess from ${plural(guess.rows, "row")}; look it over.</strong></p>
    ${guess.missing.length > 0 && html`<p class="bad-text">Still to be added: ${guess.missing.join("; ")}</p>`}
    <details class="small"><summary>Why it is so (${notes.length}), and what was left out (${left.length})</summary>
      <dl class="facts">${[...notes, ...left].map(([where, why]) => html`<dt class="break">${where}</dt><dd>${why}</dd>`)}</dl>
    </details>
  </div>`;
}
