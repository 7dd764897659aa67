/** How far a job is: place in the queue, phase, percent, time left. */
import { html } from "../lib/dom.js";
import { duration, words } from "../lib/format.js";

export function JobProgress({ job, wide = false }) {
  if (job.is_terminal) {
    return job.status_reason ? html`<span class="small muted">${words(job.status_reason)}</span>` : null;
  }
  if (job.queue_position !== null) {
    return html`<span class="small">${job.queue_position === 1 ? "next" : `number ${job.queue_position}`} in queue ${job.queue}</span>`;
  }
  const progress = job.progress;
  if (!progress) return html`<span class="small muted">${job.phase ? words(job.phase) : "no training process yet"}</span>`;
  if (progress.detail) return html`<span class="small">${progress.detail}</span>`;
  const value = Math.round(progress.percent);
  const place = progress.super_epoch === null ? "" : `, super-epoch ${progress.super_epoch}`;
  return html`<div class="small">
    <progress max="100" value=${progress.percent} aria-label=${`Progress of ${job.name ?? job.id}`}>${value} %</progress>
    <span>${value} % · ${words(job.phase ?? "")}${wide && `${place}, epoch ${progress.epoch} of ${progress.totals.epochs}`}</span>
    ${progress.eta_seconds !== null && html`<span class="nowrap"> · ${duration(Math.ceil(progress.eta_seconds))} left</span>`}
  </div>`;
}
