/** Answers that stay fresh: asked for again and again by ETag, while somebody looks. */
import { request } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./dom.js";

const SLOWEST_SECONDS = 15;

/**
 * The newest answer of `path` (`null`: nothing is asked). Asks every `seconds` (`null`: once), not while the page is
 * hidden, and less often while the service cannot be reached. An older answer stays while a newer one is missing.
 * @returns {{data: any, problem: import("./api.js").Problem | null, refresh: () => void}}
 */
export function usePolled(path, seconds = 2) {
  const [found, setFound] = useState({ path, data: null, problem: null });
  const asked = useRef(() => {});

  useEffect(() => {
    if (path === null) return undefined;
    const abort = new AbortController();
    let etag = null;
    let timer = null;
    let failures = 0;
    const later = (delay) => {
      clearTimeout(timer);
      if (!abort.signal.aborted) timer = setTimeout(ask, delay * 1000);
    };
    const ask = async () => {
      clearTimeout(timer);
      if (document.hidden) return; // `visibilitychange` asks
      try {
        const answer = await request(path, { etag, signal: abort.signal });
        failures = 0;
        if (answer.status !== 304) {
          etag = answer.etag;
          setFound({ path, data: answer.data, problem: null });
        } else {
          setFound((old) => (old.problem ? { ...old, problem: null } : old));
        }
        if (seconds !== null) later(seconds);
      } catch (problem) {
        if (abort.signal.aborted) return;
        failures += 1;
        setFound((old) => ({ path, data: old.path === path ? old.data : null, problem }));
        if (problem.isPassing) later(Math.min(SLOWEST_SECONDS, 2 ** failures));
      }
    };
    const seen = () => !document.hidden && ask();
    document.addEventListener("visibilitychange", seen);
    asked.current = ask;
    ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [path, seconds]);

  const refresh = useCallback(() => asked.current(), []);
  const current = found.path === path ? found : { data: null, problem: null };
  return { data: current.data, problem: current.problem, refresh };
}

/** The time, once in `seconds`: for what counts up on a page. */
export function useNow(seconds = 1) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => !document.hidden && setNow(Date.now()), seconds * 1000);
    return () => clearInterval(timer);
  }, [seconds]);
  return now;
}
