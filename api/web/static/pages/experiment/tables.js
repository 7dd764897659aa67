/** An experiment's comparison as tables. */
import { html } from "../../lib/dom.js";
import { fileName, saveCsv } from "../../lib/csv.js";
import { NONE, duration, fixed, number } from "../../lib/format.js";

const signed = (value, decimals = 3) => (value === null ? NONE : `${value > 0 ? "+" : ""}${fixed(value, decimals)}`);
const between = (low, high) => (low === null ? NONE : `${fixed(low, 3)} to ${fixed(high, 3)}`);

export function StrategyTable({ found, colours, id }) {
  const toReference = new Map(found.to_reference.map((row) => [row.strategy, row]));
  const rows = [...found.strategies].sort((a, b) => (b.test.mean ?? -Infinity) - (a.test.mean ?? -Infinity));
  const download = () =>
    saveCsv(fileName(id, "comparison"), ["strategy", "planned", "done", "mean", "sd", "ci_low", "ci_high", "minus", "difference", "difference_se", "difference_ci_low", "difference_ci_high", "pairs", "seconds", "samples"],
      rows.map((row) => {
        const gap = toReference.get(row.strategy);
        return [row.strategy, row.planned, row.done, row.test.mean, row.test.sd, row.test.ci_low, row.test.ci_high, found.reference, gap?.mean, gap?.se, gap?.ci_low, gap?.ci_high, gap?.pairs, row.cost?.seconds, row.cost?.samples];
      }));
  return html`<div class="scroll"><table>
    <thead><tr><th scope="col">Strategy</th><th scope="col" class="number">Seeds</th><th scope="col" class="number">Mean</th><th scope="col" class="number">sd</th><th scope="col" class="number">95 % interval</th>
      <th scope="col" class="number">minus ${found.reference}</th><th scope="col" class="number">95 % interval</th><th scope="col">Answers</th><th scope="col" class="number">Seconds</th><th scope="col" class="number">Passes</th></tr></thead>
    <tbody>${rows.map((row) => {
      const gap = toReference.get(row.strategy);
      return html`<tr key=${row.strategy}><th scope="row"><i class=${`swatch series-${colours[row.strategy]}`} aria-hidden="true"></i> ${row.strategy}${row.strategy === found.best && html` <span class="badge good">best so far</span>`}</th>
        <td class="number">${row.done} of ${row.planned}</td><td class="number">${fixed(row.test.mean, 3)}</td><td class="number">${fixed(row.test.sd, 3)}</td><td class="number">${between(row.test.ci_low, row.test.ci_high)}</td>
        <td class="number">${gap ? signed(gap.mean) : NONE}</td><td class="number">${gap ? between(gap.ci_low, gap.ci_high) : NONE}</td>
        <td class="small">${Object.entries(row.answers).map(([head, times]) => `${head} ×${times}`).join(", ")}</td>
        <td class="number">${row.cost ? duration(row.cost.seconds) : NONE}</td><td class="number">${row.cost ? number(Math.round(row.cost.samples)) : NONE}</td></tr>`;
    })}</tbody></table></div>
    <p><button type="button" class="quiet" onClick=${download} aria-label="Download the comparison as CSV">CSV</button></p>`;
}

export function HeadTable({ rows }) {
  const heads = [...new Set(rows.flatMap((row) => Object.keys(row.heads)))];
  return html`<div class="scroll"><table>
    <thead><tr><th scope="col">Strategy</th>${heads.map((head) => html`<th scope="col" class="number">${head}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.strategy}><th scope="row">${row.strategy}</th>${heads.map((head) => {
      const found = row.heads[head];
      return html`<td class="number">${!found || found.mean === null ? NONE : `${fixed(found.mean, 3)}${found.sd === null ? "" : ` ± ${fixed(found.sd, 3)}`}`}</td>`;
    })}</tr>`)}</tbody></table></div>`;
}
