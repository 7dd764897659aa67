/** "Compare strategies": the same job as an experiment, with several strategies and seeds. */
import { html, useState } from "../../lib/dom.js";
import { plural } from "../../lib/format.js";

/** What a comparison starts with: of what fits, that which `gblend compare` takes. */
const USUAL = ["naive", "equal", "offline", "online"];

/** Strategies that need no more than their name, and one for each modality alone. */
function strategiesOf(schema, modalities) {
  const blending = schema.shape(schema.followed(schema.named("JobSpec")).properties.blending);
  const plain = schema.tags(blending).filter((tag) => !schema.branch(blending, tag).node.required?.length);
  return [...modalities.map((name) => `unimodal:${name}`), ...plain];
}

/** The body of `POST /v1/experiments` for a job's spec. */
export function experimentOf(spec, { strategies, seeds }) {
  const { name, metadata, seed: _, ...job } = spec;
  return { ...(name === undefined ? {} : { name }), ...(metadata === undefined ? {} : { metadata }), job, strategies, seeds: seedsOf(seeds) };
}

/** `0, 1 2` as numbers; what is none stays a text, and the service says so. */
function seedsOf(text) {
  return text.split(/[\s,;]+/).filter(Boolean).map((one) => (/^\d+$/.test(one) ? Number(one) : one));
}

/** `value`: null while one job is submitted. */
export function Compare({ form, value, onChange, modalities }) {
  const [last, setLast] = useState(null);
  const known = strategiesOf(form.schema, modalities);
  const start = () => last ?? { strategies: [...modalities.map((name) => `unimodal:${name}`), ...USUAL.filter((name) => known.includes(name))], seeds: "0, 1, 2" };
  const toggle = (event) => {
    if (!event.target.checked) setLast(value);
    onChange(event.target.checked ? start() : null);
  };
  const shown = value ? [...known, ...value.strategies.filter((name) => !known.includes(name))] : known;
  const pick = (name, isIn) => onChange({ ...value, strategies: shown.filter((one) => (one === name ? isIn : value.strategies.includes(one))) });
  const wrong = (field) => form.issues.filter((issue) => issue.path[0] === field);
  const jobs = value ? value.strategies.length * seedsOf(value.seeds).length : 0;
  return html`<section class="card stack" aria-labelledby="section-compare">
    <h2 id="section-compare">Compare strategies</h2>
    <label class="tick"><input type="checkbox" checked=${value !== null} onChange=${toggle} />Train with several strategies and seeds, and compare them (an experiment)</label>
    ${value && html`
      <fieldset class="group" id="spec/strategies" tabindex="-1" aria-describedby="compare-said"><legend>Strategies</legend>
        <div class="row">${shown.map((name) => html`<label class="tick" key=${name}><input type="checkbox" checked=${value.strategies.includes(name)} onChange=${(event) => pick(name, event.target.checked)} />${name}</label>`)}</div>
        <p class="help">The strategy that is chosen above lends its options to the one of the same name; the others take their defaults.</p>
      </fieldset>
      <div class="field"><label for="spec/seeds">Seeds</label>
        <input id="spec/seeds" type="text" value=${value.seeds} aria-describedby="compare-help compare-said" aria-invalid=${wrong("seeds").length ? "true" : undefined} onInput=${(event) => onChange({ ...value, seeds: event.target.value })} />
        <p class="help" id="compare-help">Every strategy is trained once with each: ${plural(jobs, "job")} in all.</p></div>
      <ul class="said" id="compare-said">${[...wrong("strategies"), ...wrong("seeds")].map((issue) => html`<li class="error"><strong>Wrong: </strong>${issue.detail} ${issue.hint && html`<span class="hint">(${issue.hint})</span>`}</li>`)}</ul>
    `}
  </section>`;
}
