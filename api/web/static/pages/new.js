/** A new job: a form that the service's own schema makes, checked by the service as it is filled in. */
import { get, post } from "../lib/api.js";
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../lib/dom.js";
import { newKey } from "../lib/keys.js";
import { go } from "../lib/router.js";
import { ProblemNote } from "../parts/problem.js";
import { Compare, experimentOf } from "./new/compare.js";
import { DataSections, useRegistered } from "./new/data.js";
import { beginning, dropDraft, empty, keepDraft } from "./new/draft.js";
import { Field } from "./new/fields.js";
import { putAt, useForm, useValidation } from "./new/form.js";
import { JsonView } from "./new/jsonview.js";
import { PLACED, SECTIONS } from "./new/layout.js";
import { valueAt } from "./new/paths.js";
import { Schema, having, isObject, same } from "./new/schema.js";
import { Verdict } from "./new/verdict.js";

export default function New({ query }) {
  const origin = query.toString();
  const [begun, setBegun] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    let gone = false;
    (async () => {
      try {
        const schema = new Schema(await get("/openapi.json"));
        const start = await beginning(query, schema);
        if (!gone) setBegun({ schema, start, origin });
      } catch (failure) {
        if (!gone) setProblem(failure);
      }
    })();
    return () => {
      gone = true;
    };
  }, [origin]);
  return html`
    <h1>New job</h1>
    <${ProblemNote} problem=${problem} />
    ${problem && origin && html`<p><a href="/new">Begin with an empty form</a></p>`}
    ${begun?.origin === origin ? html`<${Editor} key=${origin} ...${begun} />` : !problem && html`<p class="loading" role="status">Loading…</p>`}
  `;
}

function Editor({ schema, start, origin }) {
  const [draft, setDraft] = useState(start.spec);
  const [compare, setCompare] = useState(start.compare ?? null);
  const [note, setNote] = useState(start.note);
  const [columns, setColumns] = useState([]);
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const once = useRef(start.once ?? { text: null, key: null });
  const apart = useRef({ described: isObject(start.spec.dataset) ? start.spec.dataset : empty().dataset, registered: null });

  const registered = useRegistered(draft.dataset);
  const dataset = isObject(draft.dataset) ? draft.dataset : registered.found?.spec.dataset;
  const modalities = useMemo(() => listOf(dataset?.modalities).map((one) => one?.name).filter((name) => typeof name === "string" && name), [dataset]);
  const node = schema.named("JobSpec");
  const spec = useMemo(() => {
    const found = schema.minimal(node, draft);
    // Beside a registered data set, leaving V out means another thing than its default.
    return typeof draft.dataset === "string" && draft.holdout !== undefined ? having(found, "holdout", draft.holdout) : found;
  }, [draft]);
  const body = useMemo(() => (compare ? experimentOf(spec, compare) : spec), [spec, compare]);
  const path = compare ? "/v1/experiments" : "/v1/jobs";
  const validation = useValidation(path, body);
  const names = { columns: useColumns(columns, dataset), modalities };
  const form = useForm({ schema, draft, change: setDraft, validation, tried, names, prefix: compare ? "job" : null });

  useEffect(() => {
    if (isObject(draft.dataset)) apart.current.described = draft.dataset;
    else if (draft.dataset) apart.current.registered = draft.dataset;
    const changed = compare !== null || !same(draft, empty());
    keepDraft({ origin, spec: draft, compare, once: once.current, changed });
  }, [draft, compare]);

  const submit = useCallback(async (event) => {
    event.preventDefault();
    if (busy) return;
    const text = path + JSON.stringify(body);
    if (once.current.text !== text) once.current = { text, key: newKey() };
    keepDraft({ origin, spec: draft, compare, once: once.current, changed: true });
    setBusy(true);
    setTried(true);
    try {
      const made = await post(path, body, { once: once.current.key });
      dropDraft();
      go(`${path.slice("/v1".length)}/${made.id}`);
    } catch (problem) {
      setBusy(false);
      validation.tell(problem);
      if (problem.errors?.length) setTimeout(() => document.querySelector(".verdict a")?.focus(), 0);
    }
  }, [busy, path, body, draft, compare]);

  const rename = (at, name) => {
    const rest = putAt(draft, at, undefined);
    setDraft(name === null ? rest : putAt(rest, [...at.slice(0, -1), name], valueAt(draft, at)));
  };
  const startOver = () => {
    dropDraft();
    setNote(null);
    setTried(false);
    setCompare(null);
    setDraft(empty());
    if (origin) go("/new", { replace: true });
  };
  const properties = schema.followed(node).properties;
  const field = ([name], props = {}) => html`<${Field} key=${name} form=${form} path=${[name]} raw=${properties[name]} value=${draft[name]} onChange=${(next) => setDraft(having(draft, name, next))} ...${props} />`;
  const alsoOf = (paths) => paths && { paths, fields: paths.map((at) => field(at)), changed: paths.filter(([name]) => Object.hasOwn(spec, name)).length };
  const others = Object.keys(properties).filter((name) => !PLACED.has(name) && schema.shape(properties[name]).kind !== "const").map((name) => [name]);
  const sections = others.length ? [...SECTIONS, { key: "others", title: "Other", fields: others }] : SECTIONS;
  return html`
    ${note && html`<div class="note" role="status"><div class="head"><p>${note}</p><button type="button" onClick=${startOver}>Begin with an empty form</button></div></div>`}
    <form class="new-job" onSubmit=${submit} noValidate autocomplete="off">
      <div class="stack sections">
        <section class="card" aria-label="Name">${field(["name"])}</section>
        <${DataSections} form=${form} draft=${draft} change=${setDraft} registered=${registered} fallback=${apart.current} onLook=${(found) => setColumns(columnsOf(found))} />
        ${sections.map(({ key, title, fields, more }) => html`<section class="card stack" key=${key} aria-labelledby=${`section-${key}`}>
          <h2 id=${`section-${key}`}>${title}</h2>
          ${fields.map((at, index) => field(at, index === 0 ? { also: alsoOf(more) } : {}))}
        </section>`)}
        <${Compare} form=${form} value=${compare} onChange=${setCompare} modalities=${modalities} />
      </div>
      <aside class="beside card stack" aria-label="Check and submit">
        <${Verdict} form=${form} validation=${validation} onRename=${rename} />
        <div class="row"><button type="submit" class="primary" disabled=${busy}>${busy ? "Submitting…" : compare ? "Submit the experiment" : "Submit the job"}</button>
          <button type="button" class="quiet" onClick=${startOver}>Start over</button></div>
        <${JsonView} draft=${draft} spec=${spec} submission=${{ origin: location.origin, path, body }} change=${setDraft} />
      </aside>
    </form>
  `;
}

const listOf = (value) => (Array.isArray(value) ? value : []);

/** Every column that an inference speaks of. */
function columnsOf({ dataset, left_out: leftOut }) {
  return [...usedColumns(dataset), ...Object.keys(leftOut)];
}

function usedColumns(dataset) {
  const columns = listOf(dataset?.modalities).flatMap((one) => [one?.column, ...listOf(one?.columns).map((column) => column?.name ?? column)]);
  return [dataset?.target?.column, dataset?.sample_id, dataset?.split?.column, ...listOf(dataset?.split?.group_by), ...columns].filter((name) => typeof name === "string" && name);
}

function useColumns(known, dataset) {
  return useMemo(() => [...new Set([...known, ...usedColumns(dataset)])].sort(), [known, dataset]);
}
