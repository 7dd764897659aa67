/** The overfitting-to-generalisation ratio of each head over super-epochs, on a logarithmic axis. */
import { html, useMemo, useRef, useState } from "../lib/dom.js";
import { paint } from "../lib/colours.js";
import { fileName } from "../lib/csv.js";
import { number } from "../lib/format.js";
import { ChartFrame } from "./frame.js";
import { allSuperEpochs, superEpochTable } from "./numbers.js";
import { Plot, axis, base, countAxis, drawErrorBars, sparse } from "./plot.js";

const SAYS = html`OGR = |ΔO / ΔG|: overfitting for each unit of generalisation. Good: low; a head that climbs above the others overfits.`;
const MORE = html`Wang et al. 2020, Eq. 3. Above 1 a head overfits more than it learns. It says nothing where G is about 0 (an untrained head has a small O and a small G):
  look at G beside it. Bars are ± one standard error; a point is missing where G was 0.`;
const LOWEST = 1e-4;

export function OgrChart({ rows, heads, colours, jobId }) {
  const [off, setOff] = useState(new Set());
  const [at, setAt] = useState(null);
  const picture = useRef({ plot: null }).current;
  const shown = heads.filter((head) => !off.has(head));
  const data = useMemo(
    () => [rows.map((row) => row.super_epoch), ...shown.map((head) => rows.map((row) => positive(of(row, head)?.ogr)))],
    [rows, off, heads.join()],
  );
  const current = rows[Math.min(at ?? rows.length - 1, rows.length - 1)];
  const legend = heads.map((head) => ({ name: head, colour: colours[head], off: off.has(head), value: current && number(of(current, head)?.ogr, 3) }));
  const toggle = (head) => setOff((old) => new Set(old.has(head) ? [...old].filter((name) => name !== head) : [...old, head]));
  const latest = useRef(null);
  latest.current = { rows, shown };
  const measured = rows.some((row) => row.heads.some((head) => head.ogr !== null));

  const options = (size) =>
    base(size, {
      scales: { x: { time: false, range: (_, low, high) => [low - 0.25, Math.max(high, low + 1) + 0.25] }, y: { distr: 3, log: 10 } },
      axes: [countAxis("super-epoch"), axis({ label: "OGR (log)", size: 56, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : decade(tick))) })],
      series: [
        {},
        ...shown.map((head) => ({ label: head, stroke: paint(colours[head]), width: 2, spanGaps: false, points: { show: rows.length <= 60, size: 7, fill: paint(colours[head]) } })),
      ],
      cursor: { y: false, sync: { key: `super-epochs-${jobId}` }, points: { size: 7 }, drag: { x: true, y: false } },
      hooks: { draw: [(u) => drawErrorBars(u, errors(latest.current, colours))] },
    });

  return html`<${ChartFrame}
    title="OGR" says=${SAYS} more=${MORE} name=${fileName(jobId, "ogr")} legend=${legend} onToggle=${toggle} picture=${picture}
    table=${() => superEpochTable(rows)} all=${() => allSuperEpochs(jobId)}
    empty=${measured ? null : rows.length ? "This strategy estimates no OGR." : "No estimate yet."}
  ><${Plot} options=${options} data=${data} keep=${picture} onCursor=${setAt} height=${280}
      shape=${`${shown.join()}|${rows.length <= 60}`} label=${`OGR of ${heads.join(", ")} over ${rows.length} super-epochs`} /><//>`;
}

const of = (row, head) => row.heads.find((estimate) => estimate.head === head);
const positive = (value) => (value === null || value === undefined || value <= 0 ? null : Math.max(value, LOWEST));
/** Only powers of ten are written on the axis. */
const decade = (tick) => (Math.abs(Math.log10(tick) - Math.round(Math.log10(tick))) < 1e-6 ? number(tick) : "");

function errors({ rows, shown }, colours) {
  return sparse(rows.length).flatMap((index) =>
    shown.flatMap((head) => {
      const found = of(rows[index], head);
      if (!found || positive(found.ogr) === null || !found.ogr_se) return [];
      const low = Math.max(found.ogr - found.ogr_se, found.ogr / 100, LOWEST);
      return [{ x: rows[index].super_epoch, low, high: found.ogr + found.ogr_se, colour: paint(colours[head]) }];
    }),
  );
}
