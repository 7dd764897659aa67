/** What all fields of the form share: the schema, what the service said, what was touched. */
import { useCallback, useEffect, useMemo, useState } from "../../lib/dom.js";
import { request } from "../../lib/api.js";
import { keyOf, partsOf, valueAt } from "./paths.js";
import { having } from "./schema.js";

const PAUSE_MS = 350;
const AGAIN_MS = 3000;

/** `value` with `next` at a path. */
export function putAt(value, [part, ...rest], next) {
  if (part === undefined) return next;
  if (Array.isArray(value)) return value.with(Number(part), putAt(value[part], rest, next));
  return having(value, part, putAt(value?.[part], rest, next));
}

/**
 * What the service says of a body, asked a moment after it has changed. `path`: where it would be submitted.
 * @returns {{state: "checking" | "valid" | "invalid" | "silent", errors: any[], warnings: any[], problem: any, tell: (problem: any) => void}}
 *   `problem`: what went wrong with asking; `tell`: what a submission was answered with.
 */
export function useValidation(path, body) {
  const text = JSON.stringify(body);
  const [found, setFound] = useState({ state: "checking", errors: [], warnings: [], problem: null });
  useEffect(() => {
    const abort = new AbortController();
    let timer = null;
    const ask = async () => {
      try {
        const { data } = await request(`${path}?validate_only=true`, { method: "POST", body: JSON.parse(text), signal: abort.signal });
        setFound({ state: data.valid ? "valid" : "invalid", errors: data.errors, warnings: data.warnings, problem: null });
      } catch (problem) {
        if (abort.signal.aborted) return;
        setFound(told(problem));
        if (problem.isPassing) timer = setTimeout(ask, AGAIN_MS);
      }
    };
    setFound((old) => ({ ...old, state: "checking" }));
    timer = setTimeout(ask, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [path, text]);
  return { ...found, tell: useCallback((problem) => setFound(told(problem)), []) };
}

function told(problem) {
  const errors = problem.errors ?? [];
  return { state: errors.length ? "invalid" : "silent", errors, warnings: [], problem: errors.length ? null : problem };
}

/** An issue of the service with its place, and how much it matters: `error`, `warning`, `needed` (not given yet). */
function placed(issue, draft, touched, tried, prefix) {
  const all = partsOf(issue.pointer);
  const path = prefix && all[0] === prefix ? all.slice(1) : all;
  const value = valueAt(draft, path);
  const isMissing = value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);
  const level = issue.severity === "warning" ? "warning" : isMissing && !tried && !touched.has(keyOf(path)) ? "needed" : "error";
  return { ...issue, path, level };
}

/**
 * @param {{schema: any, draft: any, change: (draft: any) => void, validation: any, tried: boolean, names: any, prefix: string | null}} options
 *   `prefix`: where the job spec is in the body that was validated (`job` in an experiment).
 */
export function useForm({ schema, draft, change, validation, tried, names, prefix }) {
  const [touched, setTouched] = useState(new Set());
  const issues = useMemo(
    () => [...validation.errors, ...validation.warnings].map((issue) => placed(issue, draft, touched, tried, prefix)),
    [validation.errors, validation.warnings, draft, touched, tried, prefix],
  );
  const byPath = useMemo(() => Map.groupBy(issues, (issue) => keyOf(issue.path)), [issues]);
  const issuesAt = (path) => byPath.get(keyOf(path)) ?? [];
  const isBelow = (issue, path) => path.every((part, index) => String(part) === issue.path[index]);
  return {
    schema,
    names,
    issues,
    issuesAt,
    isWrong: (path) => issuesAt(path).some((issue) => issue.level === "error"),
    isNeeded: (path) => issuesAt(path).some((issue) => issue.level === "needed"),
    isWrongBelow: (path) => issues.some((issue) => issue.level !== "warning" && isBelow(issue, path)),
    put: (path, value) => change(putAt(draft, path, value)),
    touch: (path) => setTouched((old) => (old.has(keyOf(path)) ? old : new Set(old).add(keyOf(path)))),
  };
}
