/** What the job's time went into: waiting, estimating, training, the rest. */
import { html } from "../lib/dom.js";
import { css } from "../lib/colours.js";
import { fileName } from "../lib/csv.js";
import { duration, percent, words } from "../lib/format.js";
import { useWidth } from "../lib/width.js";
import { ChartFrame } from "./frame.js";

const COLOUR = { waiting: 7, starting: 5, pretraining: 3, estimating: 1, training: 0, fine_tuning: 2, evaluating: 6, saving: 4, stopped: 7 };
const ORDER = Object.keys(COLOUR);
const HEIGHT = 46;

/** Stretches of time `{kind, from, to, superEpoch, attempt}` (milliseconds) out of statuses and phases, both in order. */
export function stretches(statuses, phases, end) {
  const marks = [
    ...statuses.map(({ seq, at, status, attempt }) => ({ seq, at, attempt, kind: KIND_OF_STATUS[status] })),
    ...phases.map(({ seq, at, phase, super_epoch, attempt }) => ({ seq, at, attempt, kind: phase, superEpoch: super_epoch })),
  ]
    .filter((mark) => mark.kind !== undefined)
    .sort((a, b) => a.seq - b.seq);
  const found = [];
  for (const [index, mark] of marks.entries()) {
    const to = marks[index + 1]?.at ?? end;
    if (mark.kind === null || to <= mark.at) continue;
    const before = found.at(-1);
    if (before && before.kind === mark.kind && before.superEpoch === mark.superEpoch && before.to === mark.at) before.to = to;
    else found.push({ kind: mark.kind, from: mark.at, to, superEpoch: mark.superEpoch ?? null, attempt: mark.attempt });
  }
  return found;
}

/** `null`: nothing happens any more. `running` only announces a phase. */
const KIND_OF_STATUS = { queued: "waiting", starting: "starting", paused: "stopped", succeeded: null, failed: null, cancelled: null };

export function TimelineChart({ feed, end, jobId }) {
  const parts = stretches(feed.statuses, feed.phases, end);
  const totals = new Map();
  for (const part of parts) totals.set(part.kind, (totals.get(part.kind) ?? 0) + (part.to - part.from) / 1000);
  const kinds = ORDER.filter((kind) => totals.has(kind));
  const estimating = totals.get("estimating") ?? 0;
  const training = totals.get("training") ?? 0;
  const legend = kinds.map((kind) => ({ name: words(kind), colour: COLOUR[kind], value: duration(totals.get(kind)) }));
  const says = html`Where the time went. Good: little beside training. ${estimating > 0 && training > 0
    ? html`Estimating the weights took <b>${percent(estimating / (estimating + training))}</b> of estimating and training together.`
    : "Strategies that estimate weights show what that costs here."}`;
  return html`<${ChartFrame}
    title="Time" says=${says} name=${fileName(jobId, "time")} legend=${legend} picture=${{ svg: true }} empty=${parts.length ? null : "Nothing has happened yet."}
    table=${() => ({
      columns: ["phase", "super_epoch", "attempt", "from", "to", "seconds"],
      rows: parts.map((part) => [part.kind, part.superEpoch, part.attempt, new Date(part.from).toISOString(), new Date(part.to).toISOString(), (part.to - part.from) / 1000]),
    })}
  ><${Strip} parts=${parts} /><//>`;
}

function Strip({ parts }) {
  const from = parts[0].from;
  const span = parts.at(-1).to - from || 1;
  const [ref, width] = useWidth();
  const x = (time) => ((time - from) / span) * width;
  const marks = width < 500 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1];
  return html`<div ref=${ref}>${width > 0 && html`<svg class="drawn" width=${width} height=${HEIGHT} role="img" aria-label="The job's phases in time">
    ${merged(parts, span / width).map(
      (part) => html`<rect x=${x(part.from)} y="2" width=${Math.max(0.6, x(part.to) - x(part.from))} height="24" style=${{ fill: css(COLOUR[part.kind]) }}>
        <title>${`${words(part.kind)}${part.superEpoch === null ? "" : `, super-epoch ${part.superEpoch}`}: ${duration((part.to - part.from) / 1000)}`}</title></rect>`,
    )}
    ${marks.map((mark) => html`<text class="dim" x=${mark * width} y="42" text-anchor=${mark === 0 ? "start" : mark === 1 ? "end" : "middle"}>${duration((mark * span) / 1000)}</text>`)}
  </svg>`}</div>`;
}

/** Stretches that are too short to be seen become one with their neighbours, under the name of the longest. */
function merged(parts, pixel) {
  if (parts.length <= 400) return parts;
  const found = [];
  for (const part of parts) {
    const last = found.at(-1);
    if (last && part.to - last.from < pixel) {
      if (part.to - part.from > last.longest) Object.assign(last, { kind: part.kind, longest: part.to - part.from });
      last.to = part.to;
    } else {
      found.push({ ...part, longest: part.to - part.from });
    }
  }
  return found;
}
