/** A job's or experiment's state. */
import { html } from "../lib/dom.js";

const LOOK = {
  succeeded: "good",
  failed: "bad",
  cancelled: "warn",
  paused: "warn",
  running: "busy",
  starting: "busy",
  cancelling: "busy",
  pausing: "busy",
  alive: "good",
  lost: "bad",
};

export function Status({ status, note = null }) {
  return html`<span class=${`badge ${LOOK[status] ?? ""}`}><span class="dot" aria-hidden="true"></span>${status}${note && ` · ${note}`}</span>`;
}
