/** The estimated weights of a strategy, on average over seeds. */
import { html, useMemo, useRef } from "../lib/dom.js";
import { colourNumbers, faded, paint } from "../lib/colours.js";
import { fileName } from "../lib/csv.js";
import { fixed } from "../lib/format.js";
import { ChartFrame } from "./frame.js";
import { Plot, axis, base, countAxis, uPlot } from "./plot.js";

export function MeanWeights({ strategy, rows, id }) {
  const picture = useRef({ plot: null }).current;
  const heads = Object.keys(rows[0].weights);
  const colours = colourNumbers(heads);
  const data = useMemo(() => stacked(rows, heads), [rows]);
  const last = rows.at(-1);
  const options = (size) =>
    base(size, {
      scales: { x: { time: false, range: (_, low, high) => [low, Math.max(high, low + 1)] }, y: { range: () => [0, 1] } },
      axes: [countAxis("super-epoch"), axis({ label: "weight" })],
      series: [{}, ...heads.map((head, index) => ({
        label: head, stroke: paint(colours[head]), width: 1, points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }),
        fill: index === 0 ? faded(paint(colours[head]), 0.75) : undefined,
      }))],
      bands: heads.slice(1).map((head, index) => ({ series: [index + 2, index + 1], fill: faded(paint(colours[head]), 0.75) })),
    });
  return html`<${ChartFrame}
    title=${`Weights of ${strategy}`} name=${fileName(id, strategy, "weights")} picture=${picture}
    says=${`On average over ${last.n === 1 ? "one seed" : `${last.n} seeds`}. Good: a story that the seeds share; each job's page has the intervals.`}
    legend=${heads.map((head) => ({ name: head, colour: colours[head], value: fixed(last.weights[head], 2) }))}
    table=${() => ({ columns: ["super_epoch", "seeds", ...heads], rows: rows.map((row) => [row.super_epoch, row.n, ...heads.map((head) => row.weights[head])]) })}
  ><${Plot} options=${options} data=${data} keep=${picture} height=${220} shape=${heads.join()} label=${`Mean weights of ${strategy} over ${rows.length} super-epochs`} /><//>`;
}

function stacked(rows, heads) {
  const columns = [];
  for (const head of heads) columns.push(rows.map((row, index) => row.weights[head] + (columns.at(-1)?.[index] ?? 0)));
  return [[...rows.map((row) => row.super_epoch), rows.at(-1).super_epoch + 1], ...columns.map((column) => [...column, column.at(-1)])];
}
