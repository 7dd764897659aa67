/** Values with fields of their own: objects, one of several objects, values of one kind or another. */
import { html, useEffect, useId, useState } from "../../lib/dom.js";
import { Inline, joined } from "../../parts/prose.js";
import { Below, Field, Framed, Inside, described } from "./fields.js";
import { BARE, isCommon, labelOf } from "./layout.js";
import { idOf } from "./paths.js";
import { having, isObject, same } from "./schema.js";

/** What a group starts from when one of its fields changes: what it is, or what leaving it out means. */
const baseOf = ({ form, raw, value, required }) => (isObject(value) ? value : (form.schema.defaultOf(raw, required) ?? {}));

/** An object's fields, the common ones first. */
export function ObjectFields({ form, path, shape, value, onChange, skip = [], also = null, lead = null }) {
  const { properties = {}, required = [] } = shape.node;
  const names = Object.keys(properties).filter((name) => !skip.includes(name) && form.schema.shape(properties[name]).kind !== "const");
  const field = (name) => html`<${Field}
    key=${name} form=${form} path=${[...path, name]} raw=${properties[name]} value=${value[name]} required=${required.includes(name)}
    onChange=${(next) => onChange(having(value, name, next))}
  />`;
  const [first, rest] = [true, false].map((common) => names.filter((name) => isCommon(shape.title, name, required) === common));
  const changed = rest.filter((name) => value[name] !== undefined && !same(form.schema.filled(properties[name], value[name]), form.schema.filled(properties[name], undefined)));
  const hidden = [...rest.map((name) => [...path, name]), ...(also?.paths ?? [])];
  return html`
    ${(lead || first.length > 0) && html`<div class=${lead ? "fields" : gridOf(form, first.map((name) => properties[name]))}>${lead}${first.map(field)}</div>`}
    ${hidden.length > 0 && html`<${More} form=${form} paths=${hidden} changed=${changed.length + (also?.changed ?? 0)}><div class="fields">${rest.map(field)}${also?.fields}</div><//>`}
  `;
}

/** Numbers need less room than texts. */
function gridOf(form, nodes) {
  return nodes.every((node) => ["number", "integer"].includes(form.schema.shape(node).kind)) ? "fields numbers" : "fields";
}

/** What most people leave as it is. It opens by itself where something in it is wrong. */
export function More({ form, paths, changed, children }) {
  const [isOpen, setOpen] = useState(false);
  const wrong = paths.some((path) => form.isWrongBelow(path));
  useEffect(() => {
    if (wrong) setOpen(true);
  }, [wrong]);
  return html`<details class="more" open=${isOpen} onToggle=${(event) => event.target === event.currentTarget && setOpen(event.currentTarget.open)}>
    <summary>More options${changed > 0 && html` <span class="badge">${changed} changed</span>`}</summary>
    ${isOpen && children}
  </details>`;
}

/** A frame with a name around fields. */
export function Frame({ form, path, shape, label, bare, children }) {
  const help = html`<${Below} form=${form} path=${path} shape=${shape} />`;
  const isPlain = bare ?? (path.length === 1 && BARE.has(path[0]));
  const { id, ...attributes } = described(form, path, shape);
  if (isPlain) return html`<div class="stack" role="group" aria-label=${label} id=${id} tabindex="-1" ...${attributes} aria-invalid=${undefined}>${help}${children}</div>`;
  return html`<fieldset class="group" id=${id} tabindex="-1" aria-describedby=${attributes["aria-describedby"]}><legend>${label}</legend>${help}${children}</fieldset>`;
}

export function Group(props) {
  return html`<${Frame} ...${props}><${ObjectFields} ...${props} value=${baseOf(props)} /><//>`;
}

/** One of several objects: which, and its fields. */
export function Tagged(props) {
  const { form, path, shape, raw, value, onChange, required, label } = props;
  const initial = form.schema.defaultOf(raw, required)?.[shape.tag];
  const base = baseOf(props);
  const tag = base[shape.tag];
  const branch = tag === undefined ? null : form.schema.branch(shape, tag);
  const id = useId();
  const tags = form.schema.tags(shape);
  const choose = (event) => onChange(form.schema.retagged(shape, form.schema.minimal(raw, base), event.target.value));
  const at = [...path, shape.tag];
  const whole = { node: {}, description: shape.description };
  const lead = html`<${Framed} form=${form} path=${at} shape=${{ node: {}, description: null }} label=${labelOf(shape.tag)} required=${true}>
    <select ...${described(form, at, { node: {} })} value=${tag ?? ""} onChange=${choose} aria-label=${`${label}: ${shape.tag}`} aria-details=${id}>
      ${tag === undefined && html`<option value="">choose…</option>`}
      ${tag !== undefined && !branch && html`<option value=${tag}>${String(tag)} (not known)</option>`}
      ${tags.map((name) => html`<option value=${name}>${name}${name === initial && " (default)"}</option>`)}
    </select>
    ${branch && html`<div class="help" id=${id}><${FirstParagraph} text=${branch.description} /></div>`}
  <//>`;
  return html`<${Frame} ...${props} shape=${whole}>
    ${branch ? html`<${ObjectFields} form=${form} path=${path} shape=${branch} value=${base} onChange=${onChange} skip=${[shape.tag]} lead=${lead} />` : html`<div class="fields">${lead}</div>`}
  <//>`;
}

function FirstParagraph({ text }) {
  const [first, ...rest] = (text ?? "").split(/\n\s*\n/).map(joined);
  return html`<${Inline} text=${first} />${rest.length > 0 && " "}${rest.length > 0 && html`<details><summary>more</summary>${rest.map((one) => html`<p><${Inline} text=${one} /></p>`)}</details>`}`;
}

/** A group that may be left out: a tick puts it there. */
export function Switch(props) {
  const { form, path, shape, raw, value, onChange, label, required } = props;
  const isOn = (value === undefined ? form.schema.defaultOf(raw, required) : value) !== null;
  const start = () => (shape.kind === "list" ? [] : shape.kind === "tagged" ? { [shape.tag]: form.schema.tags(shape)[0] } : {});
  return html`<div class=${isOn ? "field wide" : "field"}>
    <label class="tick"><input id=${isOn ? `${idOf(path)}?on` : idOf(path)} type="checkbox" checked=${isOn} aria-describedby=${`${idOf(path)}?help`}
      onChange=${(event) => onChange(event.target.checked ? start() : undefined)} />${label}</label>
    ${isOn ? html`<${Inside} ...${props} bare=${true} />` : html`<${Below} form=${form} path=${path} shape=${shape} />`}
  </div>`;
}

const WORDS = { string: "a text", number: "one number", integer: "one number", boolean: "yes or no", map: "a value for each name", list: "a list", object: "an object" };

/** A value of one kind or another: `"none"`, `"balanced"`, or a number for each class. */
export function Choice(props) {
  const { form, path, shape, raw, value, onChange, required, label } = props;
  const options = shape.branches.map((branch) => form.schema.shape(branch)).flatMap((branch) => {
    if (branch.kind === "enum") return branch.node.enum.map((fixed) => ({ key: `=${fixed}`, title: String(fixed), fixed }));
    if (branch.kind === "const") return [{ key: `=${branch.node.const}`, title: branch.node.const === false ? "no" : String(branch.node.const), fixed: branch.node.const }];
    return [{ key: branch.kind, title: WORDS[branch.kind] ?? branch.kind, branch }];
  });
  const given = value === undefined ? form.schema.defaultOf(raw, required) : value;
  const chosen = given === null || given === undefined ? null : (options.find((option) => "fixed" in option && same(option.fixed, given)) ?? options.find((option) => option.branch && takes(option.branch, given)));
  const choose = (event) => {
    const option = options.find(({ key }) => key === event.target.value);
    const initial = form.schema.defaultOf(raw, required);
    if (!option) onChange(undefined);
    else if ("fixed" in option) onChange(option.fixed);
    else onChange(takes(option.branch, initial) ? initial : option.branch.kind === "map" ? {} : option.branch.kind === "list" ? [] : "");
  };
  const kindId = chosen?.branch ? `${idOf(path)}?kind` : idOf(path);
  const { id: _, ...attributes } = described(form, path, shape);
  return html`<${Framed} ...${props} forId=${kindId}>
    <div class="row">
      <select id=${kindId} ...${chosen?.branch ? {} : attributes} value=${chosen?.key ?? ""} onChange=${choose}>
        ${(shape.nullable || !chosen) && html`<option value="">left out</option>`}
        ${options.map((option) => html`<option value=${option.key}>${option.title}</option>`)}
      </select>
      ${chosen?.branch && html`<${Inside} form=${form} path=${path} raw=${chosen.branch.node} shape=${{ ...chosen.branch, description: shape.description }} value=${given} label=${`${label}: value`}
        onChange=${onChange} isInside=${true} bare=${true} whenEmpty=${""} />`}
    </div>
  <//>`;
}

function takes(branch, value) {
  if (branch.kind === "map" || branch.kind === "object") return isObject(value);
  if (branch.kind === "list") return Array.isArray(value);
  const type = branch.kind === "integer" ? "number" : branch.kind;
  // A text that was meant to be a number is still being typed.
  return typeof value === type || (type === "number" && typeof value === "string");
}
