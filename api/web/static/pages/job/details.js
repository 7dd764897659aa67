/** Events, log, spec, environment, artifacts, history of states. */
import { address } from "../../lib/api.js";
import { Component, html, useLayoutEffect, useRef } from "../../lib/dom.js";
import { bytes, clock, moment, number } from "../../lib/format.js";
import { usePolled } from "../../lib/poll.js";
import { setQuery, useAddress } from "../../lib/router.js";
import { CopyButton } from "../../parts/copy.js";
import { ProblemNote } from "../../parts/problem.js";
import { Status } from "../../parts/status.js";
import { Tabs } from "../../parts/tabs.js";

const TABS = [
  { key: "events", title: "Events" },
  { key: "log", title: "Log" },
  { key: "spec", title: "Spec" },
  { key: "environment", title: "Environment" },
  { key: "artifacts", title: "Artifacts" },
  { key: "states", title: "States" },
];
const LINES = 300;

export function Details({ job, feed }) {
  const asked = useAddress().searchParams.get("tab");
  const tab = TABS.some(({ key }) => key === asked) ? asked : "events";
  const View = { events: Events, log: Log, spec: Spec, environment: Environment, artifacts: Artifacts, states: States }[tab];
  return html`<section class="card" aria-label="Details">
    <${Tabs} label="Details" tabs=${TABS} value=${tab} onChange=${(key) => setQuery({ tab: key })}><${View} job=${job} feed=${feed} /><//>
  </section>`;
}

/** A box that stays at its end as lines come, unless the reader has scrolled up. */
function Tail({ label, version, children }) {
  const box = useRef(null);
  const following = useRef(true);
  useLayoutEffect(() => {
    if (following.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [version]);
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    following.current = scrollTop + clientHeight >= scrollHeight - 30;
  };
  return html`<div class="log" ref=${box} onScroll=${onScroll} tabindex="0" role="log" aria-live="off" aria-label=${label}>${children}</div>`;
}

function Events({ job, feed }) {
  const events = feed?.events ?? [];
  const last = events.at(-1)?.seq ?? 0;
  return html`
    <p class="small muted">${events.length > 0 ? `Events ${number(events[0].seq)} to ${number(last)}` : "No event yet"}${!job.is_terminal ? "; more come as they happen" : ""}.
      ${" "}<a href=${address(`/v1/jobs/${job.id}/events`, { limit: 1000 })} target="_blank">All of them, as JSON</a></p>
    <${Tail} label="Events" version=${last}>${events.map((event) => html`<${Line} key=${event.seq} event=${event} />`)}<//>`;
}

/** An event never changes. */
class Line extends Component {
  shouldComponentUpdate() {
    return false;
  }

  render({ event }) {
    const title = `${moment(event.created_at)}, ${event.type}, seq ${event.seq}`;
    return html`<div class=${`line ${event.level}`}><time datetime=${event.created_at} title=${title}>${clock(event.created_at)}</time><span>${event.message}</span></div>`;
  }
}

function Log({ job }) {
  const { data, problem } = usePolled(`/v1/jobs/${job.id}/logs?tail=${LINES}`, job.is_terminal ? null : 2);
  const chunks = data?.data ?? [];
  return html`
    <${ProblemNote} problem=${problem} stale=${data !== null} />
    <p class="small muted">${chunks.length === 0 && data ? "Nothing was printed." : `The last ${LINES} lines that the training printed.`}</p>
    ${chunks.length > 0 && html`<${Tail} label="Log" version=${chunks.at(-1).seq}>${chunks.map((chunk) => chunk.text).join("")}<//>`}`;
}

function Spec({ job }) {
  const text = JSON.stringify(job.spec, null, 2);
  return html`
    <div class="row"><${CopyButton} text=${text} label="Copy the spec">Copy the spec<//><a class="button" href=${`/new?from=${job.id}`}>Use it again</a>
      <span class="small muted break">fingerprint ${job.spec_fingerprint}</span></div>
    <pre tabindex="0">${text}</pre>`;
}

function Environment({ job }) {
  const environment = job.environment;
  if (!environment) return html`<p class="muted">Known when the training has started.</p>`;
  const { packages = {}, ...rest } = environment;
  return html`<dl class="facts">
    ${Object.entries(rest).map(([name, value]) => html`<dt>${name}</dt><dd>${value === null ? "–" : String(value)}</dd>`)}
    <dt>packages</dt><dd>${Object.entries(packages).map(([name, version]) => `${name} ${version}`).join(", ")}</dd>
    <dt>data set</dt><dd class="mono">${job.dataset_fingerprint ?? "–"}</dd>
    <dt>queue</dt><dd>${job.queue}, priority ${job.priority}</dd>
    ${Object.entries(job.metadata).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}
  </dl>`;
}

function Artifacts({ job }) {
  const { data, problem } = usePolled(`/v1/jobs/${job.id}/artifacts?limit=1000`, job.is_terminal ? null : 5);
  const checkpoints = usePolled(`/v1/jobs/${job.id}/checkpoints?limit=1000`, job.is_terminal ? null : 5);
  const files = data?.data ?? [];
  const kept = checkpoints.data?.data ?? [];
  return html`
    <${ProblemNote} problem=${problem ?? checkpoints.problem} />
    ${data && files.length === 0 && html`<p class="muted">${job.is_terminal ? "It left no files behind." : "Files are there when it has succeeded."}</p>`}
    ${files.length > 0 && html`<div class="scroll"><table><thead><tr><th scope="col">File</th><th scope="col">Kind</th><th scope="col" class="number">Size</th><th scope="col">sha256</th></tr></thead>
      <tbody>${files.map((file) => html`<tr><td><a href=${file.href} download=${file.name}>${file.name}</a></td><td>${file.kind}</td><td class="number">${bytes(file.bytes)}</td><td class="mono break">${file.sha256}</td></tr>`)}</tbody></table></div>`}
    ${kept.length > 0 && html`<p class="small muted">${kept.length === 1 ? "One checkpoint" : `${kept.length} checkpoints`} in the store, the newest of ${moment(kept.at(-1).created_at)} (${bytes(kept.at(-1).bytes)}).</p>`}`;
}

function States({ job }) {
  return html`<div class="scroll"><table><thead><tr><th scope="col">State</th><th scope="col">Since</th><th scope="col">Why</th></tr></thead>
    <tbody>${job.transitions.map((step) => html`<tr><td><${Status} status=${step.status} /></td><td class="nowrap">${moment(step.at)}</td><td>${step.reason ?? ""}</td></tr>`)}</tbody></table></div>
    ${job.retry_of && html`<p class="small">It goes on from <a href=${`/jobs/${job.retry_of}`}>${job.retry_of}</a>.</p>`}
    <p class="small muted mono break">${job.id}</p>`;
}
