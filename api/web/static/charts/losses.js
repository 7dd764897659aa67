/** Training and held-out loss of each head, the gap between them shaded: where a modality overfits. */
import { html, useMemo, useRef } from "../lib/dom.js";
import { faded, paint, property } from "../lib/colours.js";
import { fileName } from "../lib/csv.js";
import { fixed } from "../lib/format.js";
import { ChartFrame } from "./frame.js";
import { allPoints, curveTable } from "./numbers.js";
import { Plot, axis, base, countAxis } from "./plot.js";

const SAYS = html`Solid: on training data. Dashed: on data that the training does not see. Good: both fall together, and the gap stays thin.`;

/** `seen`: the part that is held against train, `holdout` (V) or `validation`. */
export function LossCharts({ feed, heads, colours, jobId, seen }) {
  const pictures = useRef({}).current;
  const curves = heads.map((head) => ({ head, train: feed.curve(head, "train", "loss"), seen: feed.curve(head, seen, "loss") }));
  const known = curves.filter(({ train }) => train.length > 0);
  const table = () => curveTable(known.flatMap(({ head, train, seen: other }) => [
    { head, split: "train", metric: "loss", points: train },
    { head, split: seen, metric: "loss", points: other },
  ]));
  const highest = Math.max(0.1, ...known.flatMap(({ train, seen: other }) => [...train, ...other].map((point) => point.value ?? 0)));
  return html`<${ChartFrame}
    title="Loss, and its gap" says=${SAYS}
    more=${html`The shaded gap is the overfitting so far. A gap that widens while the dashed line rises is a modality that only memorises. Dashed is ${seen === "holdout" ? "V, the part of train that measures generalisation" : seen}.`}
    name=${fileName(jobId, "loss")} table=${table} all=${() => allPoints(jobId, { metric: "loss" })}
    picture=${{ get plot() { return joined(known.map(({ head }) => pictures[head]?.plot).filter(Boolean)); } }}
    empty=${known.length ? null : "No epoch is over yet."}
  ><div class="multiples">${known.map(({ head, train, seen: other }) => html`<${LossChart}
      key=${head} head=${head} train=${train} seen=${other} colour=${colours[head]} highest=${highest} jobId=${jobId} keep=${(pictures[head] ??= {})} />`)}</div><//>`;
}

function LossChart({ head, train, seen, colour, highest, jobId, keep }) {
  const data = useMemo(() => aligned(train, seen), [train.length, seen.length, train.at(-1)?.seq]);
  const gap = (seen.at(-1)?.value ?? null) === null || (train.at(-1)?.value ?? null) === null ? null : seen.at(-1).value - train.at(-1).value;
  const options = (size) =>
    base(size, {
      scales: { x: { time: false, range: (_, low, high) => [Math.min(low, high - 1), high] }, y: { range: (_, low) => [Math.min(0, low), highest * 1.04] } },
      axes: [countAxis("epoch"), axis({ label: "loss" })],
      series: [
        {},
        { label: "train", stroke: paint(colour), width: 2, points: { show: false }, spanGaps: true },
        { label: "held out", stroke: paint(colour), width: 2, dash: [6, 4], points: { show: false }, spanGaps: true },
      ],
      bands: [
        { series: [2, 1], fill: faded(paint(colour), 0.22) },
        { series: [1, 2], fill: faded(property("--muted"), 0.12) },
      ],
      cursor: { y: false, sync: { key: `epochs-${jobId}` }, points: { size: 6 }, drag: { x: true, y: false } },
    });
  return html`<div>
    <h3><i class=${`swatch series-${colour}`} aria-hidden="true"></i>${head}<span class="muted small">gap ${fixed(gap, 3)}</span></h3>
    <${Plot} options=${options} data=${data} keep=${keep} height=${190} shape=${`${head}|${highest.toFixed(2)}`}
      label=${`Loss of ${head}: train ${fixed(train.at(-1)?.value, 3)}, held out ${fixed(seen.at(-1)?.value, 3)} after epoch ${train.at(-1)?.epoch}`} />
  </div>`;
}

/** Two curves on one axis of epochs; thinned curves need not have the same ones. */
export function aligned(...curves) {
  const epochs = [...new Set(curves.flatMap((points) => points.map((point) => point.epoch)))].sort((a, b) => a - b);
  const columns = curves.map((points) => {
    const byEpoch = new Map(points.map((point) => [point.epoch, point.value]));
    return epochs.map((epoch) => byEpoch.get(epoch));
  });
  return [epochs, ...columns];
}

/** Several plots as one picture, side by side. */
function joined(plots) {
  if (!plots.length) return null;
  const canvases = plots.map((plot) => plot.ctx.canvas);
  const canvas = Object.assign(document.createElement("canvas"), {
    width: canvases.reduce((sum, one) => sum + one.width, 0),
    height: Math.max(...canvases.map((one) => one.height)),
  });
  const ctx = canvas.getContext("2d");
  let x = 0;
  for (const one of canvases) {
    ctx.drawImage(one, x, 0);
    x += one.width;
  }
  return { ctx };
}
