/** Requests to the service: JSON in and out, problems as errors, lists page by page. */

/** What the service (or the way to it) said instead of an answer; RFC 9457 where the service said it. */
export class Problem extends Error {
  constructor({ status = 0, code = "unreachable", title = "", detail = "", hint = null, errors = [], request_id = null }) {
    super(detail || title || code);
    this.name = "Problem";
    Object.assign(this, { status, code, title, detail: detail || title, hint, errors, requestId: request_id });
  }

  /** Whether asking again later may help. */
  get isPassing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/**
 * One request. Resolves to `{status, data, etag}`; `data` is `null` for 204 and 304. Throws a `Problem`.
 * @param {string} path absolute, below this origin
 * @param {{method?: string, body?: unknown, etag?: string, headers?: Record<string, string>, signal?: AbortSignal}} options
 */
export async function request(path, { method = "GET", body, etag, headers = {}, signal } = {}) {
  const sent = { accept: "application/json", ...headers };
  if (etag) sent["if-none-match"] = etag;
  if (body !== undefined) sent["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: sent,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store", // the ETags are handled here
      credentials: "same-origin",
      redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ detail: "The service cannot be reached.", hint: "Is it running? This page tries again by itself." });
  }
  if (response.status === 304 || response.status === 204) {
    return { status: response.status, data: null, etag: response.headers.get("etag") };
  }
  const told = await bodyOf(response);
  if (!response.ok) throw new Problem({ status: response.status, title: response.statusText, ...told });
  return { status: response.status, data: told, etag: response.headers.get("etag") };
}

async function bodyOf(response) {
  try {
    return await response.json();
  } catch {
    return { code: "not_json", detail: `The answer is not JSON (status ${response.status}).` };
  }
}

/** The answer's body. */
export async function get(path, options) {
  return (await request(path, options)).data;
}

/** The answer's body. With `once`, a repeated request makes nothing twice (`Idempotency-Key`). */
export async function post(path, body, { once = null } = {}) {
  return (await request(path, { method: "POST", body, headers: once ? { "idempotency-key": once } : {} })).data;
}

/** Delete what lies at `path`. */
export async function remove(path) {
  await request(path, { method: "DELETE" });
}

/** A path with a query; `undefined`, `null` and `""` are left out, lists repeat their name. */
export function address(path, query = {}) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") found.append(name, one);
    }
  }
  const text = found.toString();
  return text ? `${path}?${text}` : path;
}

/** Everything in a list, page by page: an async iterator over its rows. */
export async function* rowsOf(path, query = {}, { signal, limit = 1000 } = {}) {
  let after = query.after;
  for (;;) {
    const page = await get(address(path, { ...query, after, limit }), { signal });
    yield* page.data;
    if (!page.has_more) return;
    after = page.next_after;
  }
}

/** All rows of a list at once. */
export async function allOf(path, query, options) {
  const rows = [];
  for await (const row of rowsOf(path, query, options)) rows.push(row);
  return rows;
}
