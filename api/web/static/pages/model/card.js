/** The model card that training left (`model.json`): what goes in, what comes out, how inputs are prepared. */
import { html } from "../../lib/dom.js";
import { fixed, number, plural, words } from "../../lib/format.js";
import { usePolled } from "../../lib/poll.js";
import { ProblemNote } from "../../parts/problem.js";

const CLASSES_SHOWN = 30;
const VALUES_SHOWN = 4;

export function Card({ file, spec, colours }) {
  const { data: card, problem } = usePolled(file?.href ?? null, null);
  return html`<section class="card stack" aria-label="Model card">
    <div class="head"><h2>Model card</h2>${file && html`<a class="button" href=${file.href} download=${file.name}>${file.name}</a>`}</div>
    ${!file && html`<p class="muted">The training left no model card.</p>`}
    <${ProblemNote} problem=${problem} />
    ${file && !card && !problem && html`<p class="muted" role="status">Loading…</p>`}
    ${card && html`<${Facts} card=${card} spec=${spec} /><${Inputs} card=${card} spec=${spec} /><${Heads} card=${card} colours=${colours} />`}
  </section>`;
}

function Facts({ card, spec }) {
  const { environment = {}, classes = [], target_scale: scale, class_weights: weights } = card;
  return html`<dl class="facts">
    <dt>Predicts</dt><dd>${spec.dataset.target.column} (${words(card.task)})</dd>
    ${classes.length > 0 && html`<dt>Classes</dt><dd>${classes.slice(0, CLASSES_SHOWN).join(", ")}${classes.length > CLASSES_SHOWN && `, and ${number(classes.length - CLASSES_SHOWN)} more`}</dd>`}
    ${scale && html`<dt>Target scale</dt><dd>${shown(scale)}</dd>`}
    ${weights && html`<dt>Class weights</dt><dd>${shown(weights)}</dd>`}
    <dt>Judged by</dt><dd>${words(card.metric)}</dd>
    <dt>Data set</dt><dd class="mono">${card.dataset_fingerprint}</dd>
    <dt>Spec</dt><dd class="mono">${card.spec_fingerprint}</dd>
    <dt>Trained with</dt><dd>torch ${environment.torch} on ${environment.device}, Python ${environment.python}, ${environment.platform}${environment.git_sha && `, commit ${environment.git_sha}`}</dd>
    <dt>Format</dt><dd>${card.format}</dd>
  </dl>`;
}

function Inputs({ card, spec }) {
  const said = Object.fromEntries(spec.dataset.modalities.map((modality) => [modality.name, modality]));
  return html`<div class="scroll"><table><thead><tr><th scope="col">Input</th><th scope="col">Kind</th><th scope="col">Shape</th><th scope="col">Encoder</th><th scope="col">Prepared with</th></tr></thead>
    <tbody>${Object.entries(card.modalities).map(([name, { kind, shape }]) => html`<tr>
      <th scope="row">${name}</th><td>${kind}</td><td class="nowrap mono">[${shape.join(", ")}]</td>
      <td>${said[name] ? encoderOf(said[name].encoder) : ""}</td><td class="small break">${shown(card.preprocessing?.[name])}</td></tr>`)}</tbody></table></div>`;
}

const encoderOf = (encoder) => (encoder.type === "transformers" ? encoder.path : `${encoder.type} ${encoder.name}, ${number(encoder.features)} features`);

function Heads({ card, colours }) {
  return html`<div class="scroll"><table class="narrow"><thead><tr><th scope="col">Head</th><th scope="col" class="number">weight in the loss at the end</th></tr></thead>
    <tbody>${card.heads.map((head) => html`<tr><th scope="row"><i class=${`swatch series-${colours[head] ?? 7}`} aria-hidden="true"></i> ${head}</th><td class="number">${fixed(card.weights?.[head], 3)}</td></tr>`)}</tbody></table></div>`;
}

/** Settings on one line; of long lists only how long they are. */
function shown(value) {
  if (Array.isArray(value)) return value.length > VALUES_SHOWN ? plural(value.length, "value") : `[${value.map(shown).join(", ")}]`;
  if (typeof value === "object" && value !== null) return Object.entries(value).map(([name, one]) => `${words(name)} ${shown(one)}`).join(", ");
  return typeof value === "number" ? number(value) : String(value ?? "–");
}
