/** uPlot as a component: it follows its data, its width and the theme, and can become a picture. */
import { html, useEffect, useLayoutEffect, useMemo, useRef } from "../lib/dom.js";
import { property } from "../lib/colours.js";
import { themeChanged } from "../parts/theme.js";
import uPlot from "../vendor/uplot.js";

export { uPlot };

/**
 * @param {{options: (size: {width: number, height: number}) => object, data: any[], shape: string, height?: number,
 *   label: string, onCursor?: (index: number | null) => void, keep?: {plot: any}}} props
 *   `shape`: what makes it another chart (its series, its scales); new data of the same shape are only drawn. `keep.plot`
 *   is set to the uPlot, for exports.
 */
export function Plot({ options, data: measured, shape, height = 260, label, onCursor, keep }) {
  const data = useMemo(() => atLeastTwo(measured), [measured]);
  const box = useRef(null);
  const plot = useRef(null);
  const latest = useRef(null);
  latest.current = { options, data, onCursor };

  useLayoutEffect(() => {
    const make = () => {
      plot.current?.destroy();
      const made = latest.current.options({ width: Math.max(200, box.current.clientWidth), height });
      made.hooks = { ...made.hooks, setCursor: [(u) => latest.current.onCursor?.(u.cursor.idx ?? null)] };
      plot.current = new uPlot(made, latest.current.data, box.current);
      if (keep) keep.plot = plot.current;
    };
    make();
    const resized = new ResizeObserver(() => {
      const width = Math.max(200, box.current.clientWidth);
      if (width !== plot.current.width) plot.current.setSize({ width, height });
    });
    resized.observe(box.current);
    themeChanged.addEventListener("change", make);
    return () => {
      resized.disconnect();
      themeChanged.removeEventListener("change", make);
      plot.current.destroy();
      plot.current = null;
    };
  }, [shape, height]);

  useEffect(() => {
    if (plot.current && plot.current.data !== data) plot.current.setData(data);
  }, [data]);

  return html`<div class="plot" ref=${box} role="img" aria-label=${label}></div>`;
}

/** Of a single point uPlot makes an axis of a hundred; an empty place after it keeps the axis at what there is. */
function atLeastTwo([x, ...columns]) {
  return x.length === 1 ? [[x[0], x[0] + 1], ...columns.map((column) => [column[0], null])] : [x, ...columns];
}

/** An axis in the colours of the theme. */
export function axis(more = {}) {
  return {
    stroke: property("--muted"),
    grid: { stroke: property("--grid"), width: 1 },
    ticks: { stroke: property("--grid"), width: 1 },
    font: "12px system-ui, sans-serif",
    labelFont: "12px system-ui, sans-serif",
    labelSize: 18,
    size: 48,
    ...more,
  };
}

/** An axis of whole numbers: epochs, super-epochs. */
export function countAxis(label) {
  return axis({ label, size: 34, incrs: [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000], values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick : "")) });
}

/** What every chart has. */
export function base({ width, height }, more) {
  return {
    width,
    height,
    padding: [8, 12, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false } },
    ...more,
  };
}

/** Draw an error bar for each value of `bars` (`{x, low, high, colour}`), on the scale `y`: a hook for `draw`. */
export function drawErrorBars(u, bars, scale = "y") {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  const cap = 3 * devicePixelRatio;
  ctx.lineWidth = 1.25 * devicePixelRatio;
  for (const { x, low, high, colour, shift = 0 } of bars) {
    const at = Math.round(u.valToPos(x, "x", true) + shift * devicePixelRatio);
    const top = u.valToPos(high, scale, true);
    const bottom = u.valToPos(low, scale, true);
    ctx.strokeStyle = colour;
    ctx.beginPath();
    for (const y of [top, bottom]) {
      ctx.moveTo(at - cap, y);
      ctx.lineTo(at + cap, y);
    }
    ctx.moveTo(at, top);
    ctx.lineTo(at, bottom);
    ctx.stroke();
  }
  ctx.restore();
}

/** At most `count` of the indices 0..length-1, evenly: where marks would cover each other. */
export function sparse(length, count = 40) {
  const step = Math.max(1, Math.ceil(length / count));
  return Array.from({ length: Math.ceil(length / step) }, (_, index) => index * step);
}
