/** Where a form begins: the draft of this tab, a job's spec, a registered data set; and the draft's keeping. */
import { forget, keep, recall } from "../../lib/storage.js";
import { get } from "../../lib/api.js";
import { isObject } from "./schema.js";

const KEY = "gblend.new";

/** What an empty form holds: the kind of data that most people have. */
const EMPTY = { dataset: { source: { type: "manifest" }, target: {}, modalities: [] } };

/** The draft of this tab, as it was kept; `null` where there is none that can be read. */
export function keptDraft() {
  try {
    const kept = JSON.parse(recall("sessionStorage", KEY) ?? "null");
    return isObject(kept?.spec) ? kept : null;
  } catch {
    return null;
  }
}

export function keepDraft(draft) {
  keep("sessionStorage", KEY, JSON.stringify(draft));
}

export function dropDraft() {
  forget("sessionStorage", KEY);
}

/**
 * The form's beginning. A draft of the same address wins over what the address names: a reload loses nothing.
 * @returns {Promise<{spec: any, note: string | null, compare: any, once: any}>}
 */
export async function beginning(query, schema) {
  const origin = query.toString();
  const kept = keptDraft();
  if (kept && (origin === "" || kept.origin === origin)) return { ...kept, note: kept.changed ? "This is the draft that you left." : null };
  const { from: jobId, dataset } = Object.fromEntries(query);
  if (jobId) {
    const job = await get(`/v1/jobs/${encodeURIComponent(jobId)}`);
    return { spec: schema.minimal(schema.named("JobSpec"), job.spec), note: `This began as the spec of ${job.name ?? job.id}.`, compare: null, once: null };
  }
  if (dataset) return { spec: { dataset }, note: null, compare: null, once: null };
  return { spec: EMPTY, note: null, compare: null, once: null };
}

export const empty = () => EMPTY;
