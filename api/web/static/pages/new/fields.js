/** A field for any value that the schema describes. Values that are left out show what leaving out means. */
import { html, useState } from "../../lib/dom.js";
import { number } from "../../lib/format.js";
import { Inline, joined } from "../../parts/prose.js";
import { Choice, Group, Switch, Tagged } from "./groups.js";
import { labelOf, suggestionsFor } from "./layout.js";
import { List, Names, Tuple } from "./lists.js";
import { idOf, wantedBy } from "./paths.js";
import { isObject } from "./schema.js";

const LONG = 170;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * The field of one value.
 * @param {{form: any, path: (string | number)[], raw: any, value: any, onChange: (value: any) => void, required?: boolean, label?: string, bare?: boolean}} props
 *   `form`: what all fields share (see `form.js`); `bare`: no frame around a group.
 */
export function Field({ label, required = false, ...props }) {
  const { form, raw, value } = props;
  const shape = form.schema.shape(raw);
  const shown = { ...props, shape, required, label: label ?? labelOf(props.path.at(-1)) };
  if (value !== undefined && value !== null && !fits(shape.kind, value)) return html`<${Odd} ...${shown} />`;
  if (shape.nullable && ["object", "tagged", "map", "list"].includes(shape.kind)) return html`<${Switch} ...${shown} />`;
  return html`<${WIDGETS[shape.kind] ?? Anything} ...${shown} />`;
}

/** What a group shows where its value is there. */
export function Inside(props) {
  return html`<${WIDGETS[props.shape.kind]} ...${props} />`;
}

const WIDGETS = {
  object: Group, tagged: Tagged, map: Names, list: List, tuple: Tuple, choice: Choice, string: Text, number: Text, integer: Text, boolean: Tick, enum: Select,
  const: () => null,
};

function fits(kind, value) {
  if (["object", "tagged", "map"].includes(kind)) return isObject(value);
  if (["list", "tuple"].includes(kind)) return Array.isArray(value);
  return kind === "any" || kind === "choice" || typeof value !== "object";
}

/** The attributes that tie a control to its help and to what was said of it. */
export function described(form, path, shape) {
  const id = idOf(path);
  const about = [helpOf(shape) && `${id}?help`, saidOf(form, path).length > 0 && `${id}?said`].filter(Boolean);
  return { id, "aria-describedby": about.join(" ") || undefined, "aria-invalid": form.isWrong(path) ? "true" : undefined };
}

/** The frame of a control: its name above, help and what was said below. */
export function Framed({ form, path, shape, label, forId, children }) {
  const isMissing = form.isNeeded(path);
  return html`<div class="field">
    <label for=${forId ?? idOf(path)}>${label}${isMissing && html` <span class="needed">needed</span>`}</label>
    ${children}
    <${Below} form=${form} path=${path} shape=${shape} />
  </div>`;
}

/** Help, and what was said of the value. */
export function Below({ form, path, shape }) {
  const id = idOf(path);
  return html`<${Help} id=${`${id}?help`} text=${helpOf(shape)} /><${Said} id=${`${id}?said`} form=${form} path=${path} shape=${shape} />`;
}

function Help({ id, text }) {
  if (!text) return null;
  const end = text.length > LONG ? text.slice(0, -1).search(/(?<=.{30})\. (?=[A-Z`])/) + 1 : 0;
  if (!end) return html`<p class="help" id=${id}><${Inline} text=${text} /></p>`;
  return html`<div class="help"><span id=${id}><${Inline} text=${text.slice(0, end)} /></span>${" "}<details><summary>more</summary><${Inline} text=${text.slice(end + 1)} /></details></div>`;
}

/** What is said at a field. That it is empty yet, its label says. */
const saidOf = (form, path) => form.issuesAt(path).filter((issue) => issue.level !== "needed" || issue.code !== "spec.missing_field");

function Said({ form, path, id, shape }) {
  const issues = saidOf(form, path);
  if (issues.length === 0) return null;
  const help = helpOf(shape);
  return html`<ul class="said" id=${id}>${issues.map((issue) => {
    const wanted = wantedBy(issue);
    return html`<li class=${issue.level}>
      ${issue.level !== "needed" && html`<strong>${issue.level === "warning" ? "Note: " : "Wrong: "}</strong>`}${issue.detail}
      ${issue.hint && !help.startsWith(joined(issue.hint)) && html` <span class="hint">(${issue.hint})</span>`}
      ${issue.examples?.length > 0 && html` <span class="hint">For example: ${issue.examples.join(", ")}.</span>`}
      ${wanted !== null && html` <button type="button" class="quiet" onClick=${() => form.put(path, wanted)}>Use “${wanted}”</button>`}
    </li>`;
  })}</ul>`;
}

/** A field's docstring and bounds on one line. */
export function helpOf(shape) {
  return [joined(shape.description), boundsOf(shape.node)].filter(Boolean).join(" ");
}

function boundsOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }) {
  const low = minimum !== undefined ? `≥\u00a0${number(minimum)}` : exclusiveMinimum !== undefined ? `>\u00a0${number(exclusiveMinimum)}` : "";
  const high = maximum !== undefined ? `≤\u00a0${number(maximum)}` : exclusiveMaximum < 2 ** 31 ? `<\u00a0${number(exclusiveMaximum)}` : "";
  const bounds = [low, high].filter(Boolean).join(", ");
  return bounds && `(${bounds})`;
}

/** A text as the number it says; a text that says none stays one, and the service says what is wrong with it. */
export function numberOf(text) {
  return NUMBER.test(text.trim()) && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** Texts and numbers. While somebody types the text is theirs. */
function Text(props) {
  const { form, path, shape, value, onChange, required, label, whenEmpty } = props;
  const [typed, setTyped] = useState(null);
  const given = value === undefined ? form.schema.defaultOf(props.raw, required) : value;
  const isNumber = shape.kind !== "string";
  const known = isNumber ? [] : suggestionsFor(path, form.names);
  const onInput = (event) => {
    const text = event.target.value;
    setTyped(text);
    onChange(text === "" ? whenEmpty : isNumber ? numberOf(text) : text);
  };
  const onBlur = () => {
    setTyped(null);
    form.touch(path);
  };
  const { id, ...attributes } = described(form, path, shape);
  const control = html`<input ...${attributes} id=${id} type="text" inputmode=${isNumber ? "decimal" : undefined} class=${isNumber ? "short" : ""} autocomplete="off" spellcheck=${false}
    value=${typed ?? (given ?? "")} placeholder=${shape.nullable && !props.isInside ? "left out" : undefined} list=${known.length ? `${id}?known` : undefined}
    aria-label=${props.isInside ? label : undefined} required=${required} onInput=${onInput} onBlur=${onBlur} />
    ${known.length > 0 && html`<datalist id=${`${id}?known`}>${known.map((name) => html`<option value=${name}></option>`)}</datalist>`}`;
  if (props.isInside) return control;
  return html`<${Framed} ...${props}>${control}<//>`;
}

function Tick({ form, path, shape, raw, value, onChange, required, label }) {
  const isOn = value === undefined ? form.schema.defaultOf(raw, required) : value;
  return html`<div class="field">
    <label class="tick"><input ...${described(form, path, shape)} type="checkbox" checked=${isOn === true} onChange=${(event) => onChange(event.target.checked)} />${label}</label>
    <${Below} form=${form} path=${path} shape=${shape} />
  </div>`;
}

function Select(props) {
  const { form, path, shape, raw, value, onChange, required } = props;
  const initial = form.schema.defaultOf(raw, required);
  const given = value === undefined ? initial : value;
  const options = shape.node.enum;
  const isKnown = options.includes(given);
  return html`<${Framed} ...${props}>
    <select ...${described(form, path, shape)} value=${given ?? ""} onBlur=${() => form.touch(path)}
      onChange=${(event) => onChange(event.target.value === "" ? undefined : event.target.value)}>
      ${(initial === undefined || initial === null) && html`<option value="">${shape.nullable ? "left out" : "choose…"}</option>`}
      ${!isKnown && given !== undefined && given !== null && html`<option value=${given}>${String(given)} (not known)</option>`}
      ${options.map((option) => html`<option value=${option}>${option}${option === initial && " (default)"}</option>`)}
    </select>
  <//>`;
}

/** A value that is nothing like what belongs here; it came from the JSON view. */
function Odd({ form, path, shape, value, onChange, label }) {
  return html`<div class="field">
    <span class="label">${label}</span>
    <div class="row"><code class="break">${JSON.stringify(value).slice(0, 200)}</code>
      <button type="button" ...${described(form, path, shape)} onClick=${() => onChange(undefined)}>Start ${label.toLowerCase()} anew</button></div>
    <${Below} form=${form} path=${path} shape=${shape} />
  </div>`;
}

/** What the schema says nothing about: JSON. */
function Anything(props) {
  const { form, path, shape, value, onChange } = props;
  const [typed, setTyped] = useState(null);
  const onInput = (event) => {
    const text = event.target.value;
    setTyped(text);
    try {
      onChange(text === "" ? undefined : JSON.parse(text));
    } catch {
      onChange(text); // no JSON yet: a text
    }
  };
  return html`<${Framed} ...${props}>
    <input ...${described(form, path, shape)} type="text" value=${typed ?? (value === undefined ? "" : JSON.stringify(value))} onInput=${onInput} onBlur=${() => setTyped(null)} />
  <//>`;
}
