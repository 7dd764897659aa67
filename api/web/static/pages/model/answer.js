/** What the model answers with, and why. */
import { html } from "../../lib/dom.js";
import { fixed, percent, withError, words } from "../../lib/format.js";

const PARTS = { holdout: "V, the held-out part of train", validation: "the validation part" };
const MEANS = {
  heads_pool: "the weighted average of all trained heads' log-probabilities, with weights fitted on the rows of the choice",
  fused_fine_tuned: "the fused head after its fine-tune on frozen encoders",
  fused: "the fused head as blending left it",
  heads_average: "the heads' probabilities, averaged with the blend's weights",
};

export function Answer({ job, colours }) {
  const { result } = job;
  const pool = Object.entries(result.pool ?? {});
  const total = pool.reduce((sum, [, weight]) => sum + weight, 0);
  const isPool = result.answer === "heads_pool";
  return html`<section class="card stack" aria-label="The answer and why">
    <h2>The answer and why</h2>
    <p>The model answers with <b>${words(result.answer)}</b>: ${MEANS[result.answer] ?? "that modality's own head"}.</p>
    <dl class="facts">
      <dt>Why</dt><dd>${result.answer_reason}</dd>
      ${result.answer_part && html`<dt>Chosen on</dt><dd>${PARTS[result.answer_part] ?? result.answer_part}; the test part was not looked at</dd>`}
      ${result.answer_runner_up && html`<dt>Runner-up</dt><dd>${words(result.answer_runner_up)}, by ${withError(result.answer_margin, result.answer_margin_se, 4)} per sample</dd>`}
      <dt>Asked for</dt><dd>${words(job.spec.answer ?? "auto")}</dd>
    </dl>
    ${isPool && pool.length > 0 && html`<div class="scroll"><table class="narrow"><thead><tr><th scope="col">Head in the pool</th><th scope="col" class="number">weight</th><th scope="col" class="number">share</th></tr></thead>
      <tbody>${pool.map(([head, weight]) => html`<tr><th scope="row"><i class=${`swatch series-${colours[head] ?? 7}`} aria-hidden="true"></i> ${head}</th>
        <td class="number">${fixed(weight, 3)}</td><td class="number">${percent(total ? weight / total : null)}</td></tr>`)}</tbody></table></div>`}
  </section>`;
}
