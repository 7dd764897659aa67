/** One value of a sample, by the type of its modality. */
import { request } from "../../lib/api.js";
import { css } from "../../lib/colours.js";
import { html, useEffect, useState } from "../../lib/dom.js";
import { bytes, duration, NONE, number, plural } from "../../lib/format.js";

const WIDTH = 200;
const HEIGHT = 60;
const TINY = 64; // pixels: larger ones are smoothed when they are scaled
const TRIES = 3;
const AGAIN_SECONDS = 3;

export function Value({ name, value, sample }) {
  return html`<div class="value">
    <h4 class="break">${name} <span class="muted">${value.type}</span></h4>
    ${value.missing
      ? html`<p class="small absent">missing</p>`
      : value.error
        ? html`<${Wrong} code=${value.error.code} detail=${value.error.detail} />`
        : html`<${KINDS[value.type] ?? Unknown} name=${name} value=${value} sample=${sample} />`}
  </div>`;
}

function Wrong({ code, detail }) {
  return html`<p class="small wrong break"><strong>cannot be used</strong> ${detail} <code>${code}</code></p>`;
}

/** A picture that the service makes. Where it cannot, it says why; where it is busy, it is asked again. */
function Picture({ source, label, look }) {
  const [state, setState] = useState({ tries: 0, problem: null });
  const { tries, problem } = state;
  const address = tries ? `${source}?try=${tries}` : source;
  const [failed, setFailed] = useState(null);
  useEffect(() => {
    if (failed === null) return undefined;
    const abort = new AbortController();
    let timer = null;
    request(failed, { signal: abort.signal }).then(
      () => setState({ tries, problem: { code: "preview.unreadable", message: "The browser cannot show it." } }),
      (found) => {
        if (abort.signal.aborted) return;
        if (found.code !== "not_json" && !(found.isPassing && tries < TRIES)) setState({ tries, problem: found });
        else if (tries < TRIES) timer = setTimeout(() => setState({ tries: tries + 1, problem: null }), AGAIN_SECONDS * 1000);
      },
    );
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [failed]);
  if (problem) return html`<${Wrong} code=${problem.code} detail=${problem.detail ?? problem.message} />`;
  return html`<img class=${look} src=${address} alt=${label} loading="lazy" decoding="async" onError=${() => setFailed(address)} />`;
}

/** What is known; of a file on an object store that is its size alone. */
const facts = (...known) => known.filter(Boolean).join(", ");

function ImageValue({ name, value, sample }) {
  return html`<${Picture} source=${value.preview} look=${`thumb ${value.width !== null && Math.max(value.width, value.height) <= TINY ? "tiny" : ""}`} label=${`${name} of ${sample.id}`} />
    <p class="small muted">${facts(value.width !== null && `${value.width} × ${value.height}, ${value.mode}`, bytes(value.bytes))}</p>`;
}

function AudioValue({ name, value, sample }) {
  return html`<${Picture} source=${value.preview} look="spectrogram" label=${`Spectrogram of ${name} of ${sample.id}`} />
    <audio controls preload="none" src=${value.sound} aria-label=${`${name} of ${sample.id}`}></audio>
    <p class="small muted">${facts(value.seconds !== null && duration(value.seconds), value.sample_rate !== null && `${number(value.sample_rate)} Hz, ${plural(value.channels, "channel")}`, bytes(value.bytes))}</p>`;
}

function VideoValue({ name, value, sample }) {
  return html`<${Picture} source=${value.preview} look="strip" label=${`Four frames of ${name} of ${sample.id}`} />
    <p class="small muted">${facts(value.width !== null && `${value.width} × ${value.height}`, value.seconds !== null && duration(value.seconds), value.frames !== null && plural(value.frames, "frame"), bytes(value.bytes))}</p>`;
}

function TextValue({ value }) {
  const cut = value.characters > value.text.length;
  return html`<blockquote class="text break" tabindex=${value.text.length > 200 ? 0 : undefined}>${value.text}${cut && "…"}</blockquote>
    <p class="small muted">${plural(value.characters, "character")}${cut && `, the first ${number(value.text.length)} shown`}</p>`;
}

function TabularValue({ value }) {
  return html`<dl class="facts small">${Object.entries(value.columns).map(
    ([column, cell]) => html`<dt class="break">${column}</dt><dd>${cell === null ? html`<span class="absent">missing</span>` : typeof cell === "number" ? number(cell) : cell}</dd>`,
  )}</dl>`;
}

function SeriesValue({ name, value, sample }) {
  const known = value.series.flatMap((line) => line.values).filter((each) => each !== null);
  const low = Math.min(...known);
  const high = Math.max(...known);
  const last = Math.max(1, (value.shape[0] ?? 1) - 1);
  const paths = value.series.map((line) => pathOf(line, (step) => (step * WIDTH) / last, (each) => HEIGHT - 2 - ((each - low) * (HEIGHT - 4)) / (high - low || 1)));
  return html`<svg class="series-line" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img"
      aria-label=${`${name} of ${sample.id}: ${plural(value.shape[0], "step")}, ${plural(value.shape[1] ?? 1, "channel")}, from ${number(low)} to ${number(high)}`}>
      ${paths.map((path, channel) => html`<path d=${path} style=${{ stroke: css(channel % 8) }} />`)}
    </svg>
    <p class="small muted">${plural(value.shape[0], "step")} × ${plural(value.shape[1] ?? 1, "channel")}, ${number(low, 3)} to ${number(high, 3)}
      ${(value.shape[1] ?? 1) > value.series.length && `; the first ${value.series.length} channels drawn`}</p>`;
}

/** An SVG path; what is not finite is a gap. */
function pathOf(line, x, y) {
  let pen = "M";
  let path = "";
  line.steps.forEach((step, index) => {
    const value = line.values[index];
    if (value === null) {
      pen = "M";
      return;
    }
    path += `${pen}${x(step).toFixed(1)},${y(value).toFixed(1)}`;
    pen = "L";
  });
  return path;
}

function EmbeddingValue({ value }) {
  return html`<p class="small mono break">${value.values.map((each) => (each === null ? NONE : each.toPrecision(3))).join(", ")}${value.length > value.values.length && ", …"}</p>
    <p class="small muted">${plural(value.length, "number")}, ${number(value.min, 3)} to ${number(value.max, 3)}, norm ${number(value.norm, 3)}</p>`;
}

const Unknown = ({ value }) => html`<pre>${JSON.stringify(value)}</pre>`;

const KINDS = {
  image: ImageValue,
  audio: AudioValue,
  video: VideoValue,
  text: TextValue,
  tabular: TabularValue,
  timeseries: SeriesValue,
  embedding: EmbeddingValue,
};
