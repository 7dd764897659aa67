/** Which data: a registered data set, or one that is described here; what it is to be predicted from, and how it is split. */
import { post } from "../../lib/api.js";
import { html, useState } from "../../lib/dom.js";
import { number, plural } from "../../lib/format.js";
import { usePolled } from "../../lib/poll.js";
import { ProblemNote } from "../../parts/problem.js";
import { Field } from "./fields.js";
import { ObjectFields } from "./groups.js";
import { labelOf } from "./layout.js";
import { Modalities } from "./modalities.js";
import { isObject } from "./schema.js";

const APART = ["target", "modalities", "split"];

export function DataSections({ form, draft, change, registered, onLook, fallback }) {
  const nodes = form.schema.followed(form.schema.named("JobSpec")).properties;
  const dataset = draft.dataset;
  const isRegistered = typeof dataset === "string";
  const shape = form.schema.objectOf(nodes.dataset, isObject(dataset) ? dataset : {});
  const { properties } = shape.node;
  const put = (name) => (next) => change({ ...draft, dataset: { ...dataset, [name]: next } });
  const part = (name, label, props = {}) => html`<${Field} form=${form} path=${["dataset", name]} raw=${properties[name]} value=${dataset?.[name]} required=${shape.node.required.includes(name)} label=${label} onChange=${put(name)} ...${props} />`;
  const holdout = html`<${Field} form=${form} path=${["holdout"]} raw=${nodes.holdout} value=${draft.holdout} label=${labelOf("holdout")} onChange=${(next) => change({ ...draft, holdout: next })} />`;
  return html`
    <section class="card stack" aria-labelledby="section-data">
      <h2 id="section-data">Data</h2>
      <fieldset class="row plain"><legend class="hidden">Which data</legend>
        <label class="tick"><input type="radio" name="data" checked=${!isRegistered} onChange=${() => change({ ...draft, dataset: fallback.described })} />Described here</label>
        <label class="tick"><input type="radio" name="data" checked=${isRegistered} onChange=${() => change({ ...draft, dataset: fallback.registered ?? registered.sets[0]?.id ?? "ds_" })} />A registered data set</label>
      </fieldset>
      ${isRegistered
        ? html`<${Registered} form=${form} draft=${draft} change=${change} registered=${registered} node=${nodes.dataset} />`
        : html`${isObject(dataset) || dataset === undefined
            ? html`${part("source", "Source")}
              <${Look} draft=${draft} change=${change} onLook=${onLook} form=${form} />
              <${ObjectFields} form=${form} path=${["dataset"]} shape=${shape} value=${dataset ?? {}} skip=${["source", ...APART]} onChange=${(next) => change({ ...draft, dataset: next })} />`
            : html`<${Field} form=${form} path=${["dataset"]} raw=${form.schema.named("DatasetSpec")} value=${dataset} onChange=${() => change({ ...draft, dataset: fallback.described })} />`}`}
    </section>
    ${isRegistered || !isObject(dataset)
      ? html`<section class="card stack" aria-label="Held-out part">${isRegistered && draft.holdout === undefined
          ? html`<div class="head"><p>V, the held-out part of train, is drawn as it was registered.</p><button type="button" onClick=${() => change({ ...draft, holdout: registered.found?.spec.holdout ?? {} })}>Draw it otherwise</button></div>`
          : holdout}</section>`
      : html`
        <section class="card stack" aria-labelledby="section-target"><h2 id="section-target">Target</h2>${part("target", "Target", { bare: true })}</section>
        <section class="card stack" aria-labelledby="section-modalities"><h2 id="section-modalities">Modalities</h2>
          <${Modalities} form=${form} path=${["dataset", "modalities"]} raw=${properties.modalities} value=${dataset.modalities} onChange=${put("modalities")} /></section>
        <section class="card stack" aria-labelledby="section-split"><h2 id="section-split">Split</h2>${part("split", "Split", { bare: true })}${holdout}</section>`}
  `;
}

/** The service's guess at everything, from the data themselves. */
function Look({ draft, change, onLook, form }) {
  const uri = draft.dataset?.source?.uri;
  const [state, setState] = useState({ busy: false, found: null, before: null, problem: null });
  const look = async () => {
    setState({ busy: true, found: null, before: null, problem: null });
    try {
      const target = draft.dataset?.target?.column || undefined;
      const found = await post("/v1/datasets/infer", { uri, target });
      onLook(found);
      const dataset = form.schema.minimal(form.schema.named("DatasetSpec"), found.dataset);
      const { holdout: _, ...rest } = draft;
      change({ ...rest, dataset, ...(Object.keys(found.holdout).length ? { holdout: found.holdout } : {}) });
      setState({ busy: false, found, before: draft, problem: null });
    } catch (problem) {
      setState({ busy: false, found: null, before: null, problem });
    }
  };
  const { found, before } = state;
  const undo = () => {
    change(before);
    setState({ busy: false, found: null, before: null, problem: null });
  };
  return html`
    <div class="note"><div class="head">
      <p>From the address alone the service can look at the data and guess target, modalities and split.</p>
      <button type="button" disabled=${!uri || state.busy} onClick=${look}>${state.busy ? "Looking…" : "Fill in from the data"}</button>
    </div>
    <div role="status">${found && html`
      <p><strong>Guessed from ${plural(found.rows, "row")}; look it over.</strong> <button type="button" class="quiet" onClick=${undo}>Undo</button></p>
      ${found.missing.length > 0 && html`<p>Still missing: ${found.missing.join("; ")}</p>`}
      <details><summary>Why</summary><ul class="small">
        ${Object.entries(found.notes).map(([pointer, why]) => html`<li class="break"><code>${pointer.replace(/^#\//, "").replaceAll("/", ".")}</code> ${why}</li>`)}
        ${Object.entries(found.left_out).map(([column, why]) => html`<li class="break">left out: <code>${column}</code> ${why}</li>`)}
      </ul></details>`}</div>
    <${ProblemNote} problem=${state.problem} /></div>
  `;
}

function Registered({ form, draft, change, registered, node }) {
  const { sets, found } = registered;
  const wrong = registered.problem;
  const copy = () => change({
    ...draft,
    dataset: form.schema.minimal(form.schema.named("DatasetSpec"), found.spec.dataset),
    holdout: draft.holdout ?? found.spec.holdout,
  });
  const isListed = sets.some((set) => set.id === draft.dataset);
  const string = form.schema.shape(node).branches.map((branch) => form.schema.shape(branch)).find((branch) => branch.kind === "string");
  return html`
    <div class="field"><label for="registered">Data set</label>
      <select id="registered" value=${isListed ? draft.dataset : ""} onChange=${(event) => event.target.value && change({ ...draft, dataset: event.target.value })}>
        ${!isListed && html`<option value="">${sets.length ? "another" : "none is registered"}</option>`}
        ${sets.map((set) => html`<option value=${set.id}>${set.name ?? set.id} · ${number(set.statistics.rows)} rows · ${set.spec.dataset.modalities.map((one) => one.name).join(" + ")}</option>`)}
      </select></div>
    <${Field} form=${form} path=${["dataset"]} raw=${string.node} value=${draft.dataset} label="Its id" onChange=${(next) => change({ ...draft, dataset: next ?? "" })} />
    <${ProblemNote} problem=${wrong} />
    ${found && html`<dl class="facts">
      <dt>Target</dt><dd>${found.spec.dataset.target.column} (${found.spec.dataset.target.type})</dd>
      <dt>Modalities</dt><dd>${found.spec.dataset.modalities.map((one) => `${one.name} (${one.type})`).join(", ")}</dd>
      <dt>Parts</dt><dd>${found.statistics.parts.map((one) => `${one.name} ${number(one.rows)}`).join(", ")}</dd>
      <dt>Fingerprint</dt><dd><code>${found.fingerprint}</code></dd>
    </dl>
    <div><button type="button" onClick=${copy}>Copy it into the form, to change it</button></div>`}
  `;
}

/** The registered data sets, and the one that a draft names. */
export function useRegistered(dataset) {
  const { data } = usePolled("/v1/datasets?limit=1000", null);
  const isId = typeof dataset === "string" && /^ds_[A-Za-z0-9]+$/.test(dataset);
  const listed = data?.data.find((set) => set.id === dataset);
  const single = usePolled(isId && data && !listed ? `/v1/datasets/${dataset}` : null, null);
  return { sets: data?.data ?? [], found: listed ?? single.data, problem: single.problem?.isPassing ? single.problem : null };
}
