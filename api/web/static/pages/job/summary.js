/** A job in a few numbers and sentences: what leads, what overfits, when the weights turned, whether it helped. */
import { html } from "../../lib/dom.js";
import { duration, fixed, number, percent, withError, words } from "../../lib/format.js";

export function Summary({ job, feed, rows, heads }) {
  const sentences = [...ofWeights(rows), ...ofResult(job, heads)];
  return html`
    <dl class="tiles">${tiles(job, feed, rows).map(([label, value, note]) => html`<div class="tile">
      <dt>${label}</dt><dd class="value">${value}${note && html`<div class="sub">${note}</div>`}</dd></div>`)}</dl>
    ${sentences.length > 0 && html`<section class="card" aria-label="In words"><h2>In words</h2><ul class="sentences">${sentences.map((sentence) => html`<li>${sentence}</li>`)}</ul></section>`}
  `;
}

function tiles(job, feed, rows) {
  const found = [];
  const result = job.result;
  const metric = words(result?.metric ?? feed.run?.metric ?? "accuracy");
  if (result) found.push([`Test ${metric} of the answer`, fixed(result.test_score ?? result.test_accuracy, 3), result.test_score_se ? `± ${fixed(result.test_score_se, 3)}, ${words(result.answer)}` : words(result.answer)]);
  const total = feed.run?.super_epochs;
  if (total) found.push(["Super-epochs", `${rows.length} of ${total}`, rows.at(-1) && `policy ${rows.at(-1).policy}`]);
  if (job.progress) found.push(["Epochs", `${job.progress.epoch} of ${job.progress.totals.epochs}`, job.progress.eta_seconds && !job.is_terminal ? `${duration(Math.ceil(job.progress.eta_seconds))} left` : null]);
  if (feed.run) {
    const { train = 0, holdout = 0, validation = 0, test = 0 } = feed.run.counts;
    found.push(["Samples", number(train + holdout + validation + test), `train ${number(train)}, V ${number(holdout)}, validation ${number(validation)}, test ${number(test)}`]);
    found.push(["Parameters", number(feed.run.parameters), feed.run.environment.device]);
  }
  return found;
}

function ofWeights(rows) {
  const last = rows.at(-1);
  if (!last || last.heads.every((head) => head.G === null)) return [];
  const found = [];
  const leader = last.heads.reduce((best, head) => (head.weight > best.weight ? head : best));
  found.push(html`<b>${leader.head}</b> leads with a weight of ${fixed(leader.weight, 2)}${interval(leader)}: G ${withError(leader.G, leader.G_se)}, O ${withError(leader.O, leader.O_se)}.`);
  const rated = last.heads.filter((head) => head.ogr !== null && head.learnt);
  if (rated.length > 1) {
    const worst = rated.reduce((most, head) => (head.ogr > most.ogr ? head : most));
    const best = rated.reduce((least, head) => (head.ogr < least.ogr ? head : least));
    if (worst !== best) found.push(html`<b>${worst.head}</b> overfits most for what it gains: OGR ${number(worst.ogr, 3)}, against ${number(best.ogr, 3)} of ${best.head}.`);
  }
  const turn = turningPoint(rows);
  if (turn) found.push(html`The weights turned most at super-epoch ${turn.at}: ${turn.head} from ${fixed(turn.from, 2)} to ${fixed(turn.to, 2)}.`);
  for (const head of last.heads.filter((one) => one.weight < 0.01)) found.push(html`<b>${head.head}</b> has no weight: ${whyNone(head)}`);
  return found;
}

const interval = (head) => (head.weight_low === null ? "" : ` (${fixed(head.weight_low, 2)}–${fixed(head.weight_high, 2)})`);

function whyNone(head) {
  if (head.flags.includes("negative_gain")) return "on held-out data it gets worse (G below 0).";
  if (head.flags.includes("noise_dominated") || !head.learnt) return "it learns nothing that stands out from the noise.";
  return "it overfits so much more than the others that G / O² leaves it nothing.";
}

function turningPoint(rows) {
  let found = null;
  for (let index = 1; index < rows.length; index += 1) {
    for (const [head, to] of Object.entries(rows[index].weights)) {
      const from = rows[index - 1].weights[head] ?? 0;
      if (!found || Math.abs(to - from) > Math.abs(found.to - found.from)) found = { at: rows[index].super_epoch, head, from, to };
    }
  }
  return found && Math.abs(found.to - found.from) >= 0.05 ? found : null;
}

function ofResult(job, heads) {
  const result = job.result;
  if (!result) return [];
  const found = [html`The model answers with <b>${words(result.answer)}</b>: ${result.answer_reason} (chosen on ${result.answer_part}).`];
  const score = (head) => result.test.find((measured) => measured.head === head);
  const alone = heads.filter((head) => head !== "fused").map(score).filter((measured) => measured && !measured.flags.includes("untrained") && measured.score !== null);
  if (alone.length && !alone.some((measured) => measured.head === result.answer) && result.test_score !== null && result.test_score !== undefined) {
    const best = alone.reduce((most, measured) => (measured.score > most.score ? measured : most));
    const gain = result.test_score - best.score;
    const noise = Math.hypot(result.test_score_se ?? 0, best.score_se ?? 0);
    const verdict = Math.abs(gain) <= 2 * noise ? "which is within the noise of" : gain > 0 ? "more than" : "less than";
    found.push(html`On the test part the answer has ${withError(result.test_score, result.test_score_se, 3)} ${words(result.metric)}, ${verdict} the best single modality of this run (${best.head}, ${withError(best.score, best.score_se, 3)}).
      ${" "}Whether blending helped is what <a href="/compare">comparing strategies</a> tells.`);
  }
  const estimating = result.cost?.estimating?.seconds;
  const training = result.cost?.training?.seconds;
  if (estimating && training) found.push(html`Estimating the weights took ${percent(estimating / (estimating + training))} of estimating and training together.`);
  return found;
}
