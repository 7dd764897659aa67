/** Several values: lists, fixed numbers of values, entries with names of one's own. */
import { html, useEffect, useRef, useState } from "../../lib/dom.js";
import { Below, Field, described } from "./fields.js";
import { Frame } from "./groups.js";
import { suggestionsFor } from "./layout.js";
import { focusOn, idOf } from "./paths.js";
import { same } from "./schema.js";

/** After what is being done now has been shown. */
export const afterwards = (act) => setTimeout(act, 0);

/** A list: a row for each item, a button for one more. */
export function List({ form, path, shape, raw, value, onChange, label, required, bare = false }) {
  const items = value ?? form.schema.defaultOf(raw, required) ?? [];
  const node = form.schema.item(raw, 0);
  const item = form.schema.shape(node);
  const noun = label.toLowerCase().replace(/ies$/, "y").replace(/(?<!s)s$/, "");
  const put = (next, focus) => {
    onChange(next);
    afterwards(() => focusOn([...path, ...focus]));
  };
  const add = () => put([...items, item.kind === "object" ? {} : ""], item.kind === "object" ? [items.length, Object.keys(item.node.properties)[0]] : [items.length]);
  const removed = (index) => put(items.filter((_, k) => k !== index), items.length > 1 ? [Math.max(0, index - 1)] : []);
  return html`<div class="field wide" role="group" aria-label=${label}>
    ${!bare && html`<span class="label">${label}${required && items.length === 0 && html` <span class="needed">needed</span>`}</span>`}
    ${items.map((one, index) => html`<div class="item" key=${index}>
      <${Item} form=${form} path=${[...path, index]} raw=${node} shape=${item} value=${one} label=${`${label} ${index + 1}`} onChange=${(next) => onChange(items.with(index, next))} onEnter=${add} />
      <button type="button" class="quiet" aria-label=${`Remove ${noun} ${index + 1}`} onClick=${() => removed(index)}>✕</button>
    </div>`)}
    <div><button type="button" id=${idOf(path)} aria-describedby=${described(form, path, shape)["aria-describedby"]} onClick=${add}>Add ${noun}</button></div>
    <${Below} form=${form} path=${path} shape=${shape} />
  </div>`;
}

function Item({ form, path, raw, shape, value, label, onChange, onEnter }) {
  if (shape.kind === "object") return html`<${Field} form=${form} path=${path} raw=${raw} value=${value} label=${label} onChange=${onChange} required=${true} bare=${true} />`;
  if (shape.kind !== "string") return html`<${Field} form=${form} path=${path} raw=${raw} value=${value} label=${label} onChange=${onChange} required=${true} />`;
  const known = suggestionsFor(path, form.names);
  const onKeyDown = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    onEnter();
  };
  return html`<div class="grow"><input ...${described(form, path, shape)} type="text" value=${value} aria-label=${label} autocomplete="off" spellcheck=${false} list=${known.length ? `${idOf(path)}?known` : undefined}
      onInput=${(event) => onChange(event.target.value)} onKeyDown=${onKeyDown} onBlur=${() => form.touch(path)} />
    ${known.length > 0 && html`<datalist id=${`${idOf(path)}?known`}>${known.map((name) => html`<option value=${name}></option>`)}</datalist>`}
    <${Below} form=${form} path=${path} shape=${{ node: {} }} /></div>`;
}

/** So many values and no more: `[height, width]`. All left empty: left out. */
export function Tuple(props) {
  const { form, path, shape, raw, value, onChange, required, label } = props;
  const nodes = shape.node.prefixItems;
  const given = value ?? form.schema.defaultOf(raw, required) ?? [];
  const set = (index, next) => {
    const values = nodes.map((_, k) => (k === index ? next : given[k]) ?? null);
    onChange(values.every((one) => one === null) ? undefined : values);
  };
  return html`<${Frame} ...${props}>
    <div class="row">${nodes.map((node, index) => html`<${Field} form=${form} path=${[...path, index]} raw=${node} value=${given[index] ?? undefined} label=${`${label} ${index + 1}`} onChange=${(next) => set(index, next)} />`)}</div>
  <//>`;
}

/** Entries with names of one's own: labels, a weight per head. Two entries of one name are one, the last. */
export function Names({ form, path, shape, raw, value, onChange, label, required, bare = false }) {
  const given = value ?? form.schema.defaultOf(raw, required) ?? {};
  const [rows, setRows] = useState(Object.entries(given));
  const told = useRef(given);
  const node = shape.node.additionalProperties;
  useEffect(() => {
    // Changed elsewhere, in the JSON say: not by these rows.
    if (!same(given, told.current)) {
      told.current = given;
      setRows(Object.entries(given));
    }
  });
  const put = (next) => {
    const found = Object.fromEntries(next.filter(([name]) => name !== ""));
    told.current = found;
    setRows(next);
    onChange(found);
  };
  const known = suggestionsFor(path, form.names);
  const rowId = (index) => `${idOf(path)}?name${index}`;
  const add = () => {
    put([...rows, ["", form.schema.shape(node).kind === "string" ? "" : undefined]]);
    afterwards(() => document.getElementById(rowId(rows.length))?.focus());
  };
  const remove = (index) => {
    put(rows.filter((_, k) => k !== index));
    afterwards(() => focusOn(path));
  };
  return html`<div class="field wide" role="group" aria-label=${label}>
    ${!bare && html`<span class="label">${label}</span>`}
    ${rows.map(([name, one], index) => html`<div class="item" key=${index}>
      <input id=${rowId(index)} type="text" class="grow" value=${name} placeholder="name" aria-label=${`${label}: name ${index + 1}`} autocomplete="off" list=${known.length ? `${idOf(path)}?known` : undefined}
        onInput=${(event) => put(rows.with(index, [event.target.value, one]))} />
      <div class="grow"><${Field} form=${form} path=${[...path, name]} raw=${node} value=${one} label=${name === "" ? "Value" : `Value of ${name}`} required=${true} onChange=${(next) => put(rows.with(index, [name, next ?? ""]))} /></div>
      <button type="button" class="quiet" aria-label=${`Remove ${name || `entry ${index + 1}`}`} onClick=${() => remove(index)}>✕</button>
    </div>`)}
    ${known.length > 0 && html`<datalist id=${`${idOf(path)}?known`}>${known.map((one) => html`<option value=${one}></option>`)}</datalist>`}
    <div><button type="button" id=${idOf(path)} aria-describedby=${described(form, path, shape)["aria-describedby"]} onClick=${add}>Add entry</button></div>
    <${Below} form=${form} path=${path} shape=${shape} />
  </div>`;
}
