/** Scores of things that are compared: every measurement as a dot, the mean with its 95 % interval over it. */
import { html } from "../lib/dom.js";
import { css } from "../lib/colours.js";
import { fixed } from "../lib/format.js";
import { useWidth } from "../lib/width.js";

const ROW = 34;
const RIGHT = 60;

/** @param {{rows: {name: string, colour: number, mean: number | null, low: number | null, high: number | null, points: number[], best?: boolean}[], label: string}} props */
export function Dots({ rows, label }) {
  const [ref, width] = useWidth();
  const left = Math.min(190, Math.max(90, width * 0.3));
  const [low, high] = padded(rows.flatMap((row) => [row.mean, ...row.points]).filter((value) => value !== null), 0.3);
  const x = (value) => left + ((within(value, low, high) - low) / (high - low)) * Math.max(40, width - left - RIGHT);
  const height = rows.length * ROW + 26;
  return html`<div ref=${ref}>${width > 0 && html`<svg class="drawn" width=${width} height=${height} role="img" aria-label=${label}>
    ${ticksBetween(low, high).map((tick) => html`<g><line class="gridline" x1=${x(tick)} x2=${x(tick)} y1="0" y2=${height - 22} />
      <text class="dim" x=${x(tick)} y=${height - 6} text-anchor="middle">${tick}</text></g>`)}
    ${rows.map((row, index) => {
      const y = index * ROW + ROW / 2;
      return html`<g key=${row.name}>
        <text x="0" y=${y + 4}>${cut(row.name, left)}${row.name.length * 7 > left && html`<title>${row.name}</title>`}</text>
        ${row.points.map((point) => html`<circle class="faint" cx=${x(point)} cy=${y} r="4" style=${{ fill: css(row.colour) }}><title>${fixed(point, 4)}</title></circle>`)}
        ${row.low !== null && html`<line class="error" x1=${x(row.low)} x2=${x(row.high)} y1=${y} y2=${y} style=${{ stroke: css(row.colour), strokeWidth: "3" }} />`}
        ${row.mean !== null && html`<rect x=${x(row.mean) - 2} y=${y - 9} width="4" height="18" style=${{ fill: css(row.colour) }} />
          <text class="dim" x=${width - RIGHT + 8} y=${y + 4}>${fixed(row.mean, 3)}${row.best && " ★"}</text>`}
      </g>`;
    })}
  </svg>`}</div>`;
}

/** Cost against score, an interval over each point. @param {{points: {name: string, colour: number, x: number, y: number, low: number | null, high: number | null}[], xLabel: string, yLabel: string, label: string}} props */
export function Scatter({ points, xLabel, yLabel, label }) {
  const [ref, width] = useWidth();
  const height = 300;
  const box = { left: 52, right: 20, top: 12, bottom: 42 };
  const [low, high] = padded(points.map((point) => point.y), 0.3);
  const most = Math.max(...points.map((point) => point.x), 1e-9) * 1.12;
  const x = (value) => box.left + (value / most) * Math.max(40, width - box.left - box.right);
  const y = (value) => box.top + (1 - (within(value, low, high) - low) / (high - low)) * (height - box.top - box.bottom);
  return html`<div ref=${ref}>${width > 0 && html`<svg class="drawn" width=${width} height=${height} role="img" aria-label=${label}>
    ${ticksBetween(low, high).map((tick) => html`<g><line class="gridline" x1=${box.left} x2=${width - box.right} y1=${y(tick)} y2=${y(tick)} />
      <text class="dim" x=${box.left - 8} y=${y(tick) + 4} text-anchor="end">${tick}</text></g>`)}
    ${ticksBetween(0, most).map((tick) => html`<g><line class="gridline" x1=${x(tick)} x2=${x(tick)} y1=${box.top} y2=${height - box.bottom} />
      <text class="dim" x=${x(tick)} y=${height - box.bottom + 16} text-anchor="middle">${compact(tick)}</text></g>`)}
    <text class="dim" x=${(box.left + width - box.right) / 2} y=${height - 6} text-anchor="middle">${xLabel}</text>
    <text class="dim" x="12" y=${height / 2} text-anchor="middle" transform=${`rotate(-90 12 ${height / 2})`}>${yLabel}</text>
    ${labelled(points, x, y).map(({ point, at }) => html`<g key=${point.name}>
      ${point.low !== null && html`<line class="error" x1=${x(point.x)} x2=${x(point.x)} y1=${y(point.low)} y2=${y(point.high)} style=${{ stroke: css(point.colour), strokeWidth: "2" }} />`}
      <circle cx=${x(point.x)} cy=${y(point.y)} r="6" style=${{ fill: css(point.colour) }} />
      <text x=${x(point.x) + (x(point.x) > width - 150 ? -10 : 10)} y=${at} text-anchor=${x(point.x) > width - 150 ? "end" : "start"}>${cut(point.name, 150)}</text>
      <title>${`${point.name}: ${fixed(point.y, 4)} at ${compact(point.x)}`}</title></g>`)}
  </svg>`}</div>`;
}

/** The range of what was measured, and some more. Intervals over few seeds reach far beyond: they end at the edge. */
function padded(values, share) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = (high - low || Math.abs(high) || 1) * share;
  return [low - room, high + room];
}

const within = (value, low, high) => Math.min(high, Math.max(low, value));

/** Where each point's name is written, so that no two cover each other. */
function labelled(points, x, y) {
  const placed = [];
  for (const point of [...points].sort((a, b) => b.y - a.y)) {
    let at = y(point.y) - 7;
    while (placed.some((other) => Math.abs(other.at - at) < 14 && Math.abs(x(other.point.x) - x(point.x)) < 120)) at += 14;
    placed.push({ point, at });
  }
  return placed;
}

/** A few round numbers between two. */
function ticksBetween(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) found.push(Number(tick.toPrecision(10)));
  return found;
}

const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const compact = (value) => COMPACT.format(value);
const cut = (name, room) => (name.length * 7 > room ? `${name.slice(0, Math.max(4, Math.floor(room / 7) - 1))}…` : name);
