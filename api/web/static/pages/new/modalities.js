/** The modalities of a data set: a card for each, in an order of one's own. */
import { html, useRef, useState } from "../../lib/dom.js";
import { Below, Field } from "./fields.js";
import { afterwards } from "./lists.js";
import { focusOn, idOf } from "./paths.js";
import { isObject } from "./schema.js";

export function Modalities({ form, path, raw, value, onChange }) {
  const items = Array.isArray(value) ? value : [];
  const node = form.schema.item(raw, 0);
  const shape = form.schema.shape(raw);
  const types = form.schema.tags(form.schema.shape(node));
  const [type, setType] = useState(types[0]);
  const [told, setTold] = useState("");
  const keys = useRef([]);
  const last = useRef(0);
  while (keys.current.length < items.length) keys.current.push((last.current += 1));
  keys.current.length = items.length;

  // Only a text may stand in markup: what came from the JSON view may be anything.
  const nameOf = (index) => (typeof items[index]?.name === "string" && items[index].name) || `modality ${index + 1}`;
  const add = () => {
    onChange([...items, { type }]);
    setTold(`Added a modality of the type ${type}.`);
    afterwards(() => focusOn([...path, items.length, "name"]));
  };
  const remove = (index) => {
    keys.current.splice(index, 1);
    onChange(items.toSpliced(index, 1));
    setTold(`Removed ${nameOf(index)}.`);
    afterwards(() => focusOn(path));
  };
  const move = (index, by) => {
    const to = index + by;
    const moved = items.toSpliced(index, 1).toSpliced(to, 0, items[index]);
    keys.current.splice(to, 0, ...keys.current.splice(index, 1));
    onChange(moved);
    setTold(`${nameOf(index)} is number ${to + 1} of ${items.length} now.`);
    afterwards(() => document.getElementById(`${idOf([...path, to])}?${by < 0 ? "up" : "down"}`)?.focus());
  };

  return html`
    ${items.map((item, index) => {
      const at = [...path, index];
      const name = nameOf(index);
      return html`<article class="modality" key=${keys.current[index]} aria-label=${name}>
        <div class="head">
          <h3>${name} ${isObject(item) && item.type && html`<span class="badge">${String(item.type)}</span>`}</h3>
          <div class="row">
            <button type="button" class="quiet" id=${`${idOf(at)}?up`} aria-label=${`Move ${name} up`} aria-disabled=${index === 0 ? "true" : undefined} onClick=${() => index > 0 && move(index, -1)}>↑</button>
            <button type="button" class="quiet" id=${`${idOf(at)}?down`} aria-label=${`Move ${name} down`} aria-disabled=${index === items.length - 1 ? "true" : undefined} onClick=${() => index < items.length - 1 && move(index, 1)}>↓</button>
            <button type="button" class="quiet" aria-label=${`Remove ${name}`} onClick=${() => remove(index)}>✕</button>
          </div>
        </div>
        <${Field} form=${form} path=${at} raw=${node} value=${item} label=${name} required=${true} bare=${true} onChange=${(next) => onChange(next === undefined ? items.with(index, { type }) : items.with(index, next))} />
      </article>`;
    })}
    <div class="row">
      <label for="new-type">Type</label>
      <select id="new-type" value=${type} onChange=${(event) => setType(event.target.value)}>${types.map((name) => html`<option value=${name}>${name}</option>`)}</select>
      <button type="button" id=${idOf(path)} aria-describedby=${`${idOf(path)}?said`} onClick=${add}>Add modality</button>
    </div>
    <${Below} form=${form} path=${path} shape=${{ ...shape, node: {} }} />
    <p class="hidden" role="status">${told}</p>
  `;
}
