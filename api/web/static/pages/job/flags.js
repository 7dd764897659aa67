/** What the estimates' flags mean, where they were raised. */
import { html } from "../../lib/dom.js";
import { plural } from "../../lib/format.js";

export const MEANING = {
  not_estimated: "No estimate was made for this head; its weight is a rule's, not a measurement's.",
  not_finite: "A loss was not finite. The head gets no weight from such an estimate: look at the learning rate and the data.",
  negative_gain: "G is below 0: on held-out data the head gets worse. Its weight is 0, or what the floor leaves.",
  noise_dominated: "|G| is smaller than its own standard error: nothing that could be measured was learnt. A larger V, or a longer super-epoch, would tell.",
  capped: "Noise would have given it more than the equal share; it got the equal share.",
  one_group: "V is a single group (one speaker, one site): the errors cannot see how another one would differ. Intervals are too narrow.",
  starved: "The fused head got less than a quarter of the equal share: it lives on the final fine-tune.",
  not_trained: "It had no weight in the super-epoch whose path was looked at, so that says nothing about it.",
  degenerate: "No head generalised in some super-epoch: the weights before it were kept.",
  shift_suspected: "The answer's score on the test part differs from that on the part it was chosen on by more than their errors explain.",
  untrained: "This head was not trained by this strategy.",
  metric_undefined: "A metric is not defined on this part (a single class, a constant target).",
};

export function Flags({ rows, job }) {
  const found = new Map();
  const note = (flag, head, superEpoch) => {
    if (!found.has(flag)) found.set(flag, new Map());
    const heads = found.get(flag);
    heads.set(head, [...(heads.get(head) ?? []), superEpoch]);
  };
  for (const row of rows) {
    for (const head of row.heads) head.flags.forEach((flag) => note(flag, head.head, row.super_epoch));
    if (row.degenerate) note("degenerate", row.reason ?? "all heads", row.super_epoch);
  }
  (job.result?.flags ?? []).filter((flag) => !found.has(flag)).forEach((flag) => note(flag, "the whole run", null));
  found.delete("not_estimated");
  if (found.size === 0) return null;
  return html`<section class="card" aria-label="Flags">
    <h2>Flags</h2>
    <div class="scroll"><table><thead><tr><th scope="col">Flag</th><th scope="col">Where</th><th scope="col">What it means</th></tr></thead><tbody>
      ${[...found].map(([flag, heads]) => html`<tr>
        <td><code>${flag}</code></td>
        <td>${[...heads].map(([head, at]) => html`<div>${head}${at[0] !== null && html` <span class="muted small">${where(at)}</span>`}</div>`)}</td>
        <td>${MEANING[flag] ?? "See the API reference."}</td></tr>`)}
    </tbody></table></div>
  </section>`;
}

const where = (at) => (at.length <= 3 ? `super-epoch ${at.join(", ")}` : `${plural(at.length, "super-epoch")}, last ${at.at(-1)}`);
