/** The weights over super-epochs: shares of a whole as stacked areas, or each head's own line, both with intervals. */
import { html, useMemo, useRef, useState } from "../lib/dom.js";
import { faded, paint, property } from "../lib/colours.js";
import { fileName } from "../lib/csv.js";
import { fixed } from "../lib/format.js";
import { ChartFrame } from "./frame.js";
import { allSuperEpochs, superEpochTable } from "./numbers.js";
import { Plot, axis, base, countAxis, drawErrorBars, sparse, uPlot } from "./plot.js";

const SAYS = html`How the blended loss is shared out. Good: intervals that are narrow beside the differences between heads.`;
const MORE = html`A weight follows G / O²: what a head gains, for what it overfits. Bars are 90 % intervals (bootstrap). A weight near 0 means that the head
  gained nothing that could be measured, or paid for it with overfitting; the flags below the charts say which. A super-epoch's weights hold until the next.`;

export function WeightsChart({ rows, heads, colours, jobId }) {
  const [stacked, setStacked] = useState(true);
  const [off, setOff] = useState(new Set());
  const [at, setAt] = useState(null);
  const picture = useRef({ plot: null }).current;
  const shown = heads.filter((head) => !off.has(head));
  const data = useMemo(() => dataOf(rows, shown, stacked), [rows, stacked, off, heads.join()]);
  const current = rows[Math.min(at ?? rows.length - 1, rows.length - 1)];
  const legend = heads.map((head) => ({ name: head, colour: colours[head], off: off.has(head), value: current && described(current, head) }));
  const toggle = (head) => setOff((old) => new Set(old.has(head) ? [...old].filter((name) => name !== head) : [...old, head]));
  const latest = useRef(null);
  latest.current = { rows, shown, stacked };

  const options = (size) =>
    base(size, {
      scales: { x: { time: false, range: (_, low, high) => [low, Math.max(high, low + 1)] }, y: { range: (_, __, high) => [0, stacked ? 1 : Math.max(0.1, high) * 1.05] } },
      axes: [countAxis("super-epoch"), axis({ label: "weight" })],
      series: [
        {},
        ...shown.map((head, index) => ({
          label: head,
          stroke: paint(colours[head]),
          width: stacked ? 1 : 2,
          fill: stacked && index === 0 ? faded(paint(colours[head]), 0.75) : undefined,
          points: { show: false },
          paths: uPlot.paths.stepped({ align: 1 }),
        })),
      ],
      bands: stacked
        ? shown.slice(1).map((head, index) => ({ series: [index + 2, index + 1], fill: faded(paint(colours[head]), 0.75) }))
        : [],
      cursor: { y: false, sync: { key: `super-epochs-${jobId}` }, points: { show: false }, drag: { x: true, y: false } },
      hooks: { draw: [(u) => drawErrorBars(u, intervals(latest.current))] },
    });

  return html`<${ChartFrame}
    title="Weights" says=${SAYS} more=${MORE} name=${fileName(jobId, "weights")} legend=${legend} onToggle=${toggle} picture=${picture}
    table=${() => superEpochTable(rows)} all=${() => allSuperEpochs(jobId)} empty=${rows.length ? null : "No weights yet."}
    controls=${html`
      <button type="button" class="quiet" aria-pressed=${String(stacked)} onClick=${() => setStacked(true)}>Stacked</button>
      <button type="button" class="quiet" aria-pressed=${String(!stacked)} onClick=${() => setStacked(false)}>Lines</button>`}
  ><${Plot} options=${options} data=${data} keep=${picture} onCursor=${setAt} height=${280}
      shape=${`${stacked}|${shown.join()}`} label=${`Weights of ${heads.join(", ")} over ${rows.length} super-epochs`} /><//>`;
}

function described(row, head) {
  const found = row.heads.find((estimate) => estimate.head === head);
  if (!found) return null;
  const interval = found.weight_low === null || found.weight_low === undefined ? "" : ` (${fixed(found.weight_low, 2)}–${fixed(found.weight_high, 2)})`;
  return fixed(found.weight, 2) + interval;
}

/** Columns for uPlot. A super-epoch's weights hold until the next one, the last ones for one more. */
function dataOf(rows, heads, stacked) {
  const x = rows.map((row) => row.super_epoch);
  const columns = heads.map((head) => rows.map((row) => row.weights[head] ?? 0));
  if (stacked) {
    for (let index = 1; index < columns.length; index += 1) columns[index] = columns[index].map((value, row) => value + columns[index - 1][row]);
  }
  if (rows.length) {
    x.push(x[x.length - 1] + 1);
    for (const column of columns) column.push(column[column.length - 1]);
  }
  return [x, ...columns];
}

function intervals({ rows, shown, stacked }) {
  const bars = [];
  const colour = property("--text");
  for (const index of sparse(rows.length)) {
    const row = rows[index];
    let below = 0;
    shown.forEach((head, position) => {
      const found = row.heads.find((estimate) => estimate.head === head);
      const weight = row.weights[head] ?? 0;
      if (found && found.weight_low !== null && found.weight_low !== undefined) {
        bars.push({
          x: row.super_epoch + 0.5,
          low: below + found.weight_low,
          high: below + found.weight_high,
          colour,
          shift: (position - (shown.length - 1) / 2) * 9,
        });
      }
      if (stacked) below += weight;
    });
  }
  return bars;
}

