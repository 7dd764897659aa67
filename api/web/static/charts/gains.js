/** G and O of every head in one super-epoch, as bars. */
import { html, useState } from "../lib/dom.js";
import { css } from "../lib/colours.js";
import { fileName } from "../lib/csv.js";
import { number, withError } from "../lib/format.js";
import { useWidth } from "../lib/width.js";
import { ChartFrame } from "./frame.js";
import { superEpochTable } from "./numbers.js";

const SAYS = html`What one more super-epoch would bring each head. Good: G far to the right, O about 0.`;
const MORE = html`G is the loss that data outside the training lose; below 0 the head gets worse. O is how far training and held-out loss drift apart. Both in nats per
  sample (squared error for a regression), ± one standard error, as this job's estimator sees them. The weight is what G / O² makes of them.`;
const WIDEST = 700;
const RIGHT = 76;
const BAR = 14;
const ROW = 2 * BAR + 22;

export function GainsChart({ rows, heads, colours, jobId }) {
  const [chosen, setChosen] = useState(null);
  const last = rows.length - 1;
  const index = chosen === null ? last : Math.min(chosen, last);
  const row = rows[index];
  const estimates = row ? heads.map((head) => row.heads.find((estimate) => estimate.head === head)).filter((found) => found && found.G !== null) : [];
  const controls = rows.length > 1 && html`<label class="small row">Super-epoch ${row.super_epoch}
    <input type="range" min="0" max=${last} value=${index} onInput=${(event) => setChosen(Number(event.target.value) === last ? null : Number(event.target.value))} /></label>`;
  return html`<${ChartFrame}
    title="Gain and overfitting" says=${SAYS} more=${MORE} name=${fileName(jobId, "gain", row && String(row.super_epoch))} picture=${{ svg: true }} controls=${controls}
    table=${() => superEpochTable(row ? [row] : [])} empty=${estimates.length ? null : rows.length ? "This strategy estimates neither G nor O." : "No estimate yet."}
  ><${Bars} estimates=${estimates} colours=${colours} label=${row && `G and O of super-epoch ${row.super_epoch}`} /><//>`;
}

function Bars({ estimates, colours, label }) {
  const ends = estimates.flatMap(({ G, G_se, O, O_se }) => [G - (G_se ?? 0), G + (G_se ?? 0), O - (O_se ?? 0), O + (O_se ?? 0)]);
  const low = Math.min(0, ...ends);
  const high = Math.max(0, ...ends);
  const span = high - low || 1;
  const [ref, room] = useWidth();
  const width = Math.min(room, WIDEST);
  const left = width < 420 ? 92 : 130;
  const x = (value) => left + ((value - low) / span) * Math.max(40, width - left - RIGHT);
  const height = estimates.length * ROW + 24;
  return html`<div ref=${ref}>${width > 0 && html`<svg class="drawn" width=${width} height=${height} role="img" aria-label=${label}>
    ${ticks(low, high).map((tick) => html`<g>
      <line class="gridline" x1=${x(tick)} x2=${x(tick)} y1="4" y2=${height - 20} />
      <text class="dim" x=${x(tick)} y=${height - 5} text-anchor="middle">${number(tick, 2)}</text></g>`)}
    ${estimates.map((estimate, index) => {
      const y = index * ROW + 10;
      return html`<g>
        <text x="0" y=${y + BAR + 3}>${short(estimate.head, left)}</text>
        <${Bar} x=${x} y=${y} left=${left} name="G" value=${estimate.G} error=${estimate.G_se} fill=${css(colours[estimate.head])} />
        <${Bar} x=${x} y=${y + BAR + 3} left=${left} name="O" value=${estimate.O} error=${estimate.O_se} fill=${css(colours[estimate.head])} faint />
      </g>`;
    })}
    <line class="axis" x1=${x(0)} x2=${x(0)} y1="4" y2=${height - 20} />
  </svg>`}</div>`;
}

function Bar({ x, y, left, name, value, error, fill, faint = false }) {
  const [from, to] = [x(Math.min(0, value)), x(Math.max(0, value))];
  const middle = y + BAR / 2;
  const end = x(value + (error ?? 0) * (value < 0 ? -1 : 1));
  return html`<g>
    <title>${`${name} = ${withError(value, error)}`}</title>
    <text class="dim" x=${left - 18} y=${middle + 4}>${name}</text>
    <rect class=${faint ? "faint" : ""} x=${from} y=${y} width=${Math.max(1, to - from)} height=${BAR} style=${{ fill }} />
    ${error && html`<line class="error" x1=${x(value - error)} x2=${x(value + error)} y1=${middle} y2=${middle} />`}
    <text class="dim" x=${Math.max(to, end) + 6} y=${middle + 4}>${number(value, 3)}</text>
  </g>`;
}

const short = (head, left) => (head.length * 7 > left - 20 ? `${head.slice(0, Math.floor((left - 28) / 7))}…` : head);

/** A few round numbers between two. */
function ticks(low, high) {
  const rough = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + 1e-12; tick += step) found.push(Number(tick.toPrecision(12)));
  return found;
}
