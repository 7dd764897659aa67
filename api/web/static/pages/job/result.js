/** What the run ended with: every head's test metrics, and what each modality contributes to the answer. */
import { html } from "../../lib/dom.js";
import { css } from "../../lib/colours.js";
import { fileName, saveCsv } from "../../lib/csv.js";
import { fixed, number, withError, words } from "../../lib/format.js";
import { useWidth } from "../../lib/width.js";
import { ChartFrame } from "../../charts/frame.js";

export function Result({ job, colours }) {
  const { test, answer, metric = "accuracy", contributions = [], forgotten = [] } = job.result;
  const names = [...new Set(test.flatMap((measured) => Object.keys(metricsOf(measured))))];
  const rows = test.map((measured) => [measured.head, measured.loss, measured.loss_se, ...names.map((name) => metricsOf(measured)[name] ?? null), measured.score_se, measured.samples]);
  const download = () => saveCsv(fileName(job.id, "test"), ["head", "loss", "loss_se", ...names, `${metric}_se`, "samples"], rows);
  return html`
    <section class="card" aria-label="Test metrics">
      <div class="head"><h2>Test metrics</h2><button type="button" class="quiet" onClick=${download} aria-label="Download the test metrics as CSV">CSV</button></div>
      <p class="small muted">Of every head, on the test part; ± one standard error. What the model answers with was chosen on the part named above, never here.</p>
      <div class="scroll"><table><thead><tr><th scope="col">Head</th><th scope="col" class="number">loss</th>
        ${names.map((name) => html`<th scope="col" class="number">${words(name)}</th>`)}</tr></thead>
        <tbody>${test.map((measured) => html`<tr>
          <th scope="row"><i class=${`swatch series-${colours[measured.head] ?? 7}`} aria-hidden="true"></i> ${measured.head}
            ${measured.head === answer && html` <span class="badge good">the answer</span>`}${measured.flags.map((flag) => html` <span class="badge warn">${flag}</span>`)}</th>
          <td class="number">${withError(measured.loss, measured.loss_se, 3)}</td>
          ${names.map((name) => html`<td class="number">${name === metric ? withError(metricsOf(measured)[name], measured.score_se ?? measured.accuracy_se, 3) : number(metricsOf(measured)[name], 3)}</td>`)}
        </tr>`)}</tbody></table></div>
    </section>
    ${contributions.length > 0 && html`<${Contributions} contributions=${contributions} metric=${metric} colours=${colours} jobId=${job.id} />`}
    ${forgotten.length > 0 && html`<${Forgotten} forgotten=${forgotten} />`}
  `;
}

/** Metric -> value; the accuracy has a field of its own too. */
const metricsOf = ({ accuracy, metrics }) => ({ ...(accuracy === null ? {} : { accuracy }), ...metrics });

const WIDEST = 700;

function Contributions({ contributions, metric, colours, jobId }) {
  const ends = contributions.flatMap(({ drop, drop_se }) => [0, (drop ?? 0) + (drop_se ?? 0), (drop ?? 0) - (drop_se ?? 0)]);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const [ref, room] = useWidth();
  const width = Math.min(room, WIDEST);
  const left = width < 420 ? 90 : 130;
  const x = (value) => left + ((value - low) / (high - low || 1)) * Math.max(40, width - left - 70);
  const height = contributions.length * 30 + 10;
  return html`<${ChartFrame}
    title="What each modality contributes" name=${fileName(jobId, "contributions")} picture=${{ svg: true }}
    says=${html`How far the answer's test ${words(metric)} falls when a modality's inputs are shuffled over samples (permutation importance). Good: long bars for all. About 0: the answer does not use
      it; to the left: it hurts. ± one standard error over shuffles.`}
    table=${() => ({ columns: ["modality", "score_shuffled", "drop", "drop_se"], rows: contributions.map((one) => [one.modality, one.score, one.drop, one.drop_se]) })}
  ><div ref=${ref}>${width > 0 && html`<svg class="drawn" width=${width} height=${height} role="img" aria-label=${contributions.map((one) => `${one.modality}: ${withError(one.drop, one.drop_se, 3)}`).join("; ")}>
    ${contributions.map(({ modality, drop, drop_se }, index) => {
      const y = index * 30 + 6;
      const error = drop_se ?? 0;
      return html`<g><text x="0" y=${y + 14}>${modality.length * 7.5 > left ? `${modality.slice(0, Math.floor(left / 8))}…` : modality}</text>
        ${drop !== null && html`<rect x=${Math.min(x(0), x(drop))} y=${y} width=${Math.max(1, Math.abs(x(drop) - x(0)))} height="18" style=${{ fill: css(colours[modality] ?? 7) }} />
        <line class="error" x1=${x(drop - error)} x2=${x(drop + error)} y1=${y + 9} y2=${y + 9} />
        <text class="dim" x=${x(Math.max(0, drop + error)) + 6} y=${y + 14}>${fixed(drop, 3)}</text>`}</g>`;
    })}
    <line class="axis" x1=${x(0)} x2=${x(0)} y1="2" y2=${height - 2} /></svg>`}</div><//>`;
}

function Forgotten({ forgotten }) {
  return html`<section class="card" aria-label="What joint training lost">
    <h2>What joint training lost of each modality</h2>
    <p class="small muted">Linear probes on the encoder trained alone and on the jointly trained one. Good: about 0. Above 0: the modality was better off alone.</p>
    <div class="scroll"><table><thead><tr><th scope="col">Modality</th><th scope="col" class="number">alone</th><th scope="col" class="number">joint</th><th scope="col" class="number">lost</th></tr></thead>
      <tbody>${forgotten.map((one) => html`<tr><th scope="row">${one.modality}</th><td class="number">${fixed(one.alone, 3)}</td><td class="number">${fixed(one.joint, 3)}</td>
        <td class="number">${withError(one.forgotten, one.forgotten_se, 3)}</td></tr>`)}</tbody></table></div>
  </section>`;
}
