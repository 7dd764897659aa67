/** Samples of a data set in pages, of a part and a class. What is chosen is in the address. */
import { address, get } from "../../lib/api.js";
import { html, useEffect, useState } from "../../lib/dom.js";
import { number, plural } from "../../lib/format.js";
import { usePolled } from "../../lib/poll.js";
import { setQuery } from "../../lib/router.js";
import { ProblemNote } from "../../parts/problem.js";
import { Part, PARTS, partName } from "./parts.js";
import { Value } from "./values.js";

const PAGE = 12;
const MOST_OPTIONS = 100;

/** @param {{id: string, query: URLSearchParams, statistics: any}} props */
export function Samples({ id, query, statistics }) {
  const part = PARTS.includes(query.get("part")) ? query.get("part") : "";
  const label = query.get("class") ?? "";
  const chosen = { part, class: label, limit: PAGE };
  const path = address(`/v1/datasets/${id}/samples`, chosen);
  const { data, problem, refresh } = usePolled(path, null);
  const [more, setMore] = useState({ path, rows: [], next: null, isBusy: false, problem: null });
  useEffect(() => setMore({ path, rows: [], next: null, isBusy: false, problem: null }), [path]);
  const own = more.path === path ? more : { rows: [], next: null, isBusy: false, problem: null };
  const rows = [...(data?.data ?? []), ...own.rows];
  const last = own.next ?? data;

  const loadMore = async () => {
    setMore((old) => ({ ...old, isBusy: true, problem: null }));
    try {
      const page = await get(address(`/v1/datasets/${id}/samples`, { ...chosen, after: last.next_after }));
      setMore((old) => (old.path === path ? { ...old, rows: [...old.rows, ...page.data], next: page, isBusy: false } : old));
    } catch (failure) {
      setMore((old) => ({ ...old, isBusy: false, problem: failure }));
    }
  };

  return html`<section class="card" id="samples" aria-label="Samples">
    <h2>Samples</h2>
    <form class="row filters" role="search" aria-label="Filter the samples" onSubmit=${(event) => event.preventDefault()}>
      <span class="field"><label for="samples-part">Part</label>
        <select id="samples-part" value=${part} onChange=${(event) => setQuery({ part: event.target.value })}>
          <option value="">all</option>${PARTS.map((each) => html`<option value=${each}>${partName(each)}</option>`)}
        </select></span>
      <${ClassFilter} label=${label} target=${statistics.target} />
      <span role="status" class="small muted">${data && `${plural(data.total, "row")}${rows.length < data.total ? `, ${number(rows.length)} shown` : ""}`}</span>
    </form>
    ${data?.changed && html`<div class="note warn"><p><strong>The source has changed since it was registered.</strong> These are its rows now; the figures on this page are of then.</p>
      <p class="hint">“Look again” below compares; register it anew to keep what it is now.</p></div>`}
    <${ProblemNote} problem=${problem} stale=${data !== null} />
    ${problem && html`<p><button type="button" onClick=${refresh}>Try again</button></p>`}
    ${data === null && !problem && html`<p class="loading" role="status">Reading samples…</p>`}
    ${data !== null && rows.length === 0 && html`<p class="empty">No sample is like that.</p>`}
    <ul class="samples">${rows.map((sample) => html`<li key=${sample.row}><${Sample} sample=${sample} /></li>`)}</ul>
    <${ProblemNote} problem=${own.problem} />
    ${last?.has_more && html`<p><button type="button" onClick=${loadMore} disabled=${own.isBusy}>${own.isBusy ? "Reading…" : "More samples"}</button></p>`}
  </section>`;
}

function ClassFilter({ label, target }) {
  const classes = target?.classes ?? [];
  const [typed, setTyped] = useState(label);
  useEffect(() => setTyped(label), [label]);
  if (classes.length === 0) return null;
  const word = target.type === "multilabel" ? "Label" : "Class";
  if (classes.length <= MOST_OPTIONS) {
    const names = classes.map((each) => each.name);
    return html`<span class="field"><label for="samples-class">${word}</label>
      <select id="samples-class" value=${label} onChange=${(event) => setQuery({ class: event.target.value })}>
        <option value="">all</option>
        ${label && !names.includes(label) && html`<option value=${label}>${label}</option>`}
        ${names.map((name) => html`<option value=${name}>${name}</option>`)}
      </select></span>`;
  }
  return html`<span class="field"><label for="samples-class">${word}</label>
    <input id="samples-class" list="samples-classes" value=${typed} onInput=${(event) => setTyped(event.target.value)}
      onChange=${(event) => setQuery({ class: event.target.value })} />
    <datalist id="samples-classes">${classes.map((each) => html`<option value=${each.name}></option>`)}</datalist></span>`;
}

function Sample({ sample }) {
  return html`<article class="sample" aria-label=${`Sample ${sample.id}`}>
    <header>
      <h3 class="break">${sample.id}</h3>
      <p class="row"><${Part} part=${sample.part} />${sample.labels.map((label) => html`<span class="badge label break">${label}</span>`)}
        ${sample.quantity !== null && html`<span class="badge label">${number(sample.quantity)}</span>`}</p>
    </header>
    ${Object.entries(sample.values).map(([name, value]) => html`<${Value} key=${name} name=${name} value=${value} sample=${sample} />`)}
  </article>`;
}
