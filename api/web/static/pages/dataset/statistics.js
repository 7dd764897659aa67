/** What a data set holds: its parts and the classes in each (`Overview`), and what is known of every modality. */
import { html, useState } from "../../lib/dom.js";
import { bytes, duration, number, percent, plural, words } from "../../lib/format.js";
import { Part, PARTS, partName } from "./parts.js";

const FEW_CLASSES = 24;

/** @param {{statistics: any, onClass?: (name: string, part: string) => void}} props */
export function Overview({ statistics, onClass = null }) {
  return html`
    <div class="grid">
      <section class="card" aria-label="Splits"><h2>Splits</h2><${Splits} statistics=${statistics} /></section>
      <section class="card" aria-label="Leaks"><h2>Leaks between parts</h2><${Leaks} statistics=${statistics} /></section>
    </div>
    <section class="card" aria-label="Target"><h2>${statistics.target?.type === "regression" ? "Target" : "Class balance"}</h2>
      <${Target} statistics=${statistics} onClass=${onClass} /></section>
  `;
}

export function Modalities({ statistics }) {
  return html`
    <section class="card" aria-label="Modalities"><h2>Modalities</h2>
      ${!statistics.complete && html`<p class="small muted">Of very many files a sample was looked at, or time ran out: figures of files are of those.</p>`}
      <div class="modalities">${statistics.modalities.map((modality) => html`<${Modality} modality=${modality} rows=${statistics.rows - statistics.left_out} />`)}</div>
    </section>
  `;
}

function Splits({ statistics }) {
  const parts = statistics.parts;
  if (parts.length === 0) return html`<p>The split cannot be made.</p>`;
  const total = parts.reduce((sum, part) => sum + part.rows, 0);
  const grouped = parts.some((part) => part.groups !== null);
  return html`
    <div class="split-bar" aria-hidden="true">${parts.map((part) => part.rows > 0 && html`<i class=${`part-${part.name}`} style=${{ flexGrow: part.rows }}></i>`)}</div>
    <div class="scroll" tabindex="0" role="group" aria-label="Rows of each part"><table>
      <thead><tr><th scope="col">Part</th><th scope="col" class="number">Rows</th><th scope="col" class="number">Share</th>
        ${grouped && html`<th scope="col" class="number">Groups</th>`}</tr></thead>
      <tbody>${parts.map(
        (part) => html`<tr><th scope="row"><${Part} part=${part.name} /></th><td class="number">${number(part.rows)}</td>
          <td class="number">${total ? percent(part.rows / total, 1) : "–"}</td>${grouped && html`<td class="number">${number(part.groups)}</td>`}</tr>`,
      )}</tbody>
    </table></div>
    <p class="small muted">${[
      plural(statistics.rows, "row"),
      statistics.left_out > 0 && `${number(statistics.left_out)} in no part of the split`,
      statistics.unusable > 0 && `${number(statistics.unusable)} with a problem`,
      statistics.holdout_groups.length > 0 && `V is ${statistics.holdout_groups.slice(0, 5).join(", ")}${statistics.holdout_groups.length > 5 ? ", …" : ""}`,
    ].filter(Boolean).join(" · ")}</p>
  `;
}

function Leaks({ statistics }) {
  const compared = statistics.modalities.filter((modality) => modality.duplicates !== null);
  const found = compared.flatMap((modality) => modality.duplicates.filter((copy) => copy.rows > 0).map((copy) => ({ ...copy, modality: modality.name })));
  if (compared.length === 0) return html`<p class="muted">Contents of tables and arrays are not compared; groups, if the split has any, are on one side each.</p>`;
  if (found.length === 0) {
    return html`<p><span class="badge good"><span class="dot" aria-hidden="true"></span>none</span> No contents of ${compared.map((modality) => modality.name).join(" or ")} are in two parts.</p>`;
  }
  return html`<ul class="issues">${found.map(
      (copy) => html`<li class="warn"><p><strong>${plural(copy.rows, "row")}</strong> of ${partName(copy.later)} ${copy.rows === 1 ? "has" : "have"} the same
        ${" "}<strong>${copy.modality}</strong> as ${partName(copy.earlier)}.</p></li>`,
    )}</ul>
    <p class="hint small">A model that knows contents by heart looks better there than it is. Remove the copies, or keep them in one part (split.group_by).</p>`;
}

function Target({ statistics, onClass }) {
  const target = statistics.target;
  const [whole, setWhole] = useState(false);
  if (!target) return html`<p>Nothing can be said of the target.</p>`;
  if (target.type === "regression") return html`<${Quantities} parts=${statistics.parts} missing=${target.missing} />`;
  const parts = PARTS.filter((part) => target.classes.some((each) => part in each.rows));
  const largest = Object.fromEntries(parts.map((part) => [part, Math.max(1, ...target.classes.map((each) => each.rows[part] ?? 0))]));
  const shown = whole ? target.classes : target.classes.slice(0, FEW_CLASSES);
  return html`
    <p class="small muted">${[
      `${plural(target.class_count, target.type === "multilabel" ? "label" : "class", target.type === "multilabel" ? "labels" : "classes")}`,
      target.imbalance !== null && (target.imbalance === 1 ? "all have the same rows in train" : `the largest has ${number(target.imbalance, 3)} times the rows of the smallest in train`),
      target.missing > 0 && `${plural(target.missing, "row")} without one`,
    ].filter(Boolean).join(" · ")}. A bar is a class's rows, as a share of the largest class of that part.</p>
    <div class="scroll" tabindex="0" role="group" aria-label="Rows of each class"><table class="classes">
      <thead><tr><th scope="col">${target.type === "multilabel" ? "Label" : "Class"}</th>${parts.map((part) => html`<th scope="col">${partName(part)}</th>`)}</tr></thead>
      <tbody>${shown.map(
        (each) => html`<tr><th scope="row" class="break">${each.name}</th>${parts.map((part) => {
          const rows = each.rows[part] ?? 0;
          const bar = html`<span class="bar" aria-hidden="true"><i class=${`part-${part}`} style=${{ width: `${(100 * rows) / largest[part]}%` }}></i></span><span class="number">${number(rows)}</span>`;
          return html`<td>${onClass && rows > 0
            ? html`<button type="button" class="count" aria-label=${`${number(rows)} rows of ${each.name} in ${partName(part)}: show them`} onClick=${() => onClass(each.name, part)}>${bar}</button>`
            : html`<span class="count">${bar}</span>`}</td>`;
        })}</tr>`,
      )}</tbody>
    </table></div>
    ${target.classes.length > FEW_CLASSES && html`<p><button type="button" aria-expanded=${whole ? "true" : "false"} onClick=${() => setWhole(!whole)}>
      ${whole ? `Show the first ${FEW_CLASSES}` : `Show all ${number(target.classes.length)}`}</button></p>`}
    ${target.class_count > target.classes.length && html`<p class="small muted">The first ${number(target.classes.length)} of ${number(target.class_count)} are told.</p>`}
  `;
}

function Quantities({ parts, missing }) {
  const known = parts.filter((part) => part.quantity);
  return html`<div class="scroll" tabindex="0" role="group" aria-label="The target in each part"><table>
      <thead><tr><th scope="col">Part</th>${["min", "median", "mean", "max"].map((name) => html`<th scope="col" class="number">${name}</th>`)}</tr></thead>
      <tbody>${known.map(
        (part) => html`<tr><th scope="row"><${Part} part=${part.name} /></th>
          ${["min", "median", "mean", "max"].map((name) => html`<td class="number">${number(part.quantity[name])}</td>`)}</tr>`,
      )}</tbody>
    </table></div>
    ${missing > 0 && html`<p class="small muted">${plural(missing, "row")} without one.</p>`}`;
}

const MEASURES = { bytes: ["File size", bytes], seconds: ["Length", duration], width: ["Width (pixels)", number], height: ["Height (pixels)", number] };

function Modality({ modality, rows }) {
  const measures = Object.entries(modality.measures);
  const counts = Object.entries(modality.counts);
  return html`<article class="modality">
    <h3 class="break">${modality.name} <span class="badge">${modality.type}</span></h3>
    <${Missing} missing=${modality.missing} rows=${rows} />
    ${(modality.files !== null || modality.shape) && html`<p class="small muted">${[
      modality.files !== null && `headers of ${plural(modality.files, "file")} read`,
      modality.shape && `shape [${modality.shape.map((side) => side ?? "any").join(", ")}]`,
    ].filter(Boolean).join(" · ")}</p>`}
    ${measures.length > 0 && html`<div class="scroll" tabindex="0" role="group" aria-label=${`Measures of ${modality.name}`}><table class="small">
      <thead><tr><td></td>${["min", "median", "mean", "max"].map((name) => html`<th scope="col" class="number">${name}</th>`)}</tr></thead>
      <tbody>${measures.map(([name, spread]) => {
        const [title, written] = MEASURES[name] ?? [capital(words(name)), number];
        return html`<tr><th scope="row">${title}</th>${["min", "median", "mean", "max"].map((key) => html`<td class="number">${written(spread[key])}</td>`)}</tr>`;
      })}</tbody></table></div>`}
    ${counts.length > 0 && html`<dl class="facts small">${counts.map(
      ([name, found]) => html`<dt>${capital(words(name))}</dt><dd>${Object.entries(found).map(([value, files]) => `${value}: ${number(files)}`).join(", ")}</dd>`,
    )}</dl>`}
    ${modality.columns.length > 0 && html`<${Columns} columns=${modality.columns} rows=${rows} />`}
  </article>`;
}

function Missing({ missing, rows }) {
  if (missing === null) return html`<p class="small muted">Missing values are known when a job reads the arrays.</p>`;
  const share = rows ? missing / rows : 0;
  return html`<p class="small missing"><span class="bar" aria-hidden="true"><i class=${share > 0.5 ? "much" : ""} style=${{ width: `${100 * share}%` }}></i></span>
    ${missing === 0 ? "no row lacks it" : `${plural(missing, "row lacks", "rows lack")} it (${percent(share, 1)})`}</p>`;
}

function Columns({ columns, rows }) {
  return html`<div class="scroll" tabindex="0" role="group" aria-label="Columns"><table class="small">
    <thead><tr><th scope="col">Column</th><th scope="col" class="number">Missing</th><th scope="col">Values</th></tr></thead>
    <tbody>${columns.map(
      (column) => html`<tr><th scope="row" class="break">${column.name}</th>
        <td class="number">${column.missing === 0 ? "0" : `${number(column.missing)} (${percent(column.missing / Math.max(1, rows), 1)})`}</td>
        <td class="break">${column.spread
          ? `${number(column.spread.min)} to ${number(column.spread.max)}, mean ${number(column.spread.mean)}`
          : [
              `${number(column.distinct ?? 0)} different`,
              Object.entries(column.common).map(([value, count]) => `${value} (${number(count)})`).join(", "),
            ].filter(Boolean).join(": ")}</td></tr>`,
    )}</tbody>
  </table></div>`;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
