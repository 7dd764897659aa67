/** The primary metric of every head over epochs, on the data that the training does not see. */
import { html, useMemo, useRef, useState } from "../lib/dom.js";
import { paint } from "../lib/colours.js";
import { fileName } from "../lib/csv.js";
import { fixed, words } from "../lib/format.js";
import { ChartFrame } from "./frame.js";
import { aligned } from "./losses.js";
import { allPoints, curveTable } from "./numbers.js";
import { Plot, axis, base, countAxis } from "./plot.js";

export function ScoreChart({ feed, heads, colours, jobId, seen, metric }) {
  const [off, setOff] = useState(new Set());
  const [at, setAt] = useState(null);
  const picture = useRef({ plot: null }).current;
  const shown = heads.filter((head) => !off.has(head));
  const curves = shown.map((head) => feed.curve(head, seen, metric));
  const data = useMemo(() => aligned(...curves), [feed.version, off]);
  const legend = heads.map((head) => {
    const column = data[shown.indexOf(head) + 1];
    return { name: head, colour: colours[head], off: off.has(head), value: column?.length ? fixed(column[Math.min(at ?? column.length - 1, column.length - 1)], 3) : null };
  });
  const toggle = (head) => setOff((old) => new Set(old.has(head) ? [...old].filter((name) => name !== head) : [...old, head]));
  const name = words(metric);
  const options = (size) =>
    base(size, {
      scales: { x: { time: false, range: (_, low, high) => [Math.min(low, high - 1), high] } },
      axes: [countAxis("epoch"), axis({ label: name })],
      series: [
        {},
        ...shown.map((head) => ({ label: head, stroke: paint(colours[head]), width: 2, points: { show: false }, spanGaps: true, dash: /^(fused|heads_)/.test(head) ? [] : [5, 3] })),
      ],
      cursor: { y: false, sync: { key: `epochs-${jobId}` }, points: { size: 6 }, drag: { x: true, y: false } },
    });
  return html`<${ChartFrame}
    title=${name[0].toUpperCase() + name.slice(1)} name=${fileName(jobId, metric)} legend=${legend} onToggle=${toggle} picture=${picture}
    says=${html`On ${seen === "holdout" ? "V (held out of train)" : seen}, after each epoch. Good: the joint heads (solid) end above the best single modality (dashed).`}
    more="Where they do not, the joint training lost something that a modality alone had. The test metrics below have errors; this curve has noise."
    table=${() => curveTable(shown.map((head, index) => ({ head, split: seen, metric, points: curves[index] })))}
    all=${() => allPoints(jobId, { metric })} empty=${curves.some((points) => points.length) || off.size ? null : "No epoch is over yet."}
  ><${Plot} options=${options} data=${data} keep=${picture} onCursor=${setAt} height=${260} shape=${shown.join()}
      label=${`${name} of ${heads.join(", ")} over epochs`} /><//>`;
}
