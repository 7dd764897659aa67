/** Downloads made in the browser: CSV (RFC 4180), pictures, text. */

const QUOTED = /[",\r\n]/;
const FORMULA = /^[=+\-@\t\r]/;

/** One cell. A text that a spreadsheet would run as a formula gets an apostrophe before it; numbers stay numbers. */
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : String(value);
  return QUOTED.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A table as CSV; `rows` are arrays in the order of `columns`. */
export function csvOf(columns, rows) {
  return [columns, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** Let the browser save `content` under `name`. */
export function save(name, content, type) {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Save a table. */
export function saveCsv(name, columns, rows) {
  save(`${name}.csv`, csvOf(columns, rows), "text/csv;charset=utf-8");
}

/** A name that every file system takes. */
export function fileName(...parts) {
  return parts.filter(Boolean).join("-").replaceAll(/[^A-Za-z0-9._-]+/g, "-").slice(0, 120);
}
