/** What every chart has around it: title, the line that says what good looks like, legend, exports, its numbers. */
import { html, useRef, useState } from "../lib/dom.js";
import { paint } from "../lib/colours.js";
import { saveCsv } from "../lib/csv.js";
import { number } from "../lib/format.js";
import { savePng, saveSvg } from "./picture.js";

const ROWS_SHOWN = 100;

/**
 * @param {{title: string, says: any, more?: any, name: string, legend?: {name: string, colour: number, value?: string, off?: boolean}[],
 *   onToggle?: (name: string) => void, table: () => {columns: string[], rows: any[][]}, all?: () => Promise<{columns: string[], rows: any[][]}>,
 *   picture: {plot?: any, svg?: any}, controls?: any, empty?: string | null, children: any}} props
 *   `says`: what it shows and what good looks like, in one line; `more`: how to read it, for whoever asks.
 *   `table`: the numbers that are drawn. `all`: every number behind them, where the server thinned them out.
 */
export function ChartFrame({ title, says, more, name, legend = [], onToggle, table, all, picture, controls, empty = null, children }) {
  const [shown, setShown] = useState(false);
  const [told, setTold] = useState("");
  const svg = useRef(null);
  const saveTable = async () => {
    setTold("Collecting the numbers…");
    try {
      const { columns, rows } = all ? await all() : table();
      saveCsv(name, columns, rows);
      setTold("");
    } catch (problem) {
      setTold(`The numbers did not come: ${problem.message}`);
    }
  };
  const savePicture = () => {
    if (picture.plot) savePng(name, picture.plot, title, legend.filter((entry) => !entry.off).map((entry) => ({ name: entry.name, colour: paint(entry.colour) })));
    else saveSvg(name, svg.current.querySelector("svg"));
  };
  return html`<section class="card chart" aria-label=${title}>
    <div class="head">
      <h2>${title}</h2>
      <div class="row tools">
        ${controls}
        <button type="button" class="quiet" disabled=${empty !== null} onClick=${saveTable} aria-label=${`Download the numbers of ${title} as CSV`}>CSV</button>
        <button type="button" class="quiet" disabled=${empty !== null} onClick=${savePicture} aria-label=${`Download ${title} as a picture`}>${picture.svg ? "SVG" : "PNG"}</button>
      </div>
    </div>
    <p class="says small muted">${says}</p>
    ${more && html`<details class="says small muted"><summary>How to read it</summary><p>${more}</p></details>`}
    <p class="small" role="status">${told}</p>
    ${empty !== null ? html`<p class="empty">${empty}</p>` : html`
      ${legend.length > 0 && html`<ul class="legend" aria-label="Legend">${legend.map((entry) => html`<${Entry} entry=${entry} onToggle=${onToggle} />`)}</ul>`}
      <div ref=${svg}>${children}</div>
      <details class="small" onToggle=${(event) => setShown(event.target.open)}>
        <summary>Numbers</summary>
        ${shown && html`<${Numbers} table=${table()} title=${title} />`}
      </details>`}
  </section>`;
}

function Entry({ entry, onToggle }) {
  const inside = html`<i class=${`swatch series-${entry.colour}`} aria-hidden="true"></i>${entry.name}${entry.value && html` <b class="number">${entry.value}</b>`}`;
  if (!onToggle) return html`<li>${inside}</li>`;
  return html`<li><button type="button" class="quiet" aria-pressed=${entry.off ? "false" : "true"} onClick=${() => onToggle(entry.name)}>${inside}</button></li>`;
}

function Numbers({ table, title }) {
  const { columns, rows } = table;
  const cut = rows.length > ROWS_SHOWN;
  return html`<div class="scroll numbers" tabindex="0" role="region" aria-label=${`Numbers of ${title}`}><table>
    <thead><tr>${columns.map((column) => html`<th scope="col">${column}</th>`)}</tr></thead>
    <tbody>${rows.slice(-ROWS_SHOWN).map((row) => html`<tr>${row.map((value) => html`<td>${typeof value === "number" ? number(value) : value}</td>`)}</tr>`)}</tbody>
  </table>${cut && html`<p class="muted">The last ${ROWS_SHOWN} of ${number(rows.length)}; the CSV has all.</p>`}</div>`;
}
