/** What the form would submit, as commands for other places. Nothing that a user wrote can leave its quotes. */
import { quoted } from "../../lib/shell.js";

/** JSON on several lines, in characters that every shell, YAML reader and Python takes as they stand. */
export function jsonText(value) {
  const plain = JSON.stringify(value, null, 2);
  return plain.replaceAll(/[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A here-document whose text the shell leaves alone. JSON has no line of letters only, so nothing in it ends it early. */
function heredoc(json) {
  return `<<'JSON'\n${json}\nJSON\n`;
}

/** @param {{origin: string, path: string, body: any}} submission */
export function asCurl({ origin, path, body }) {
  return `curl --fail-with-body --silent --show-error ${quoted(origin + path)} \\\n  --header 'content-type: application/json' --data-binary @- ${heredoc(jsonText(body))}`;
}

export function asPython({ origin, path, body }) {
  const [noun, kind] = path.endsWith("/experiments") ? ["experiments", "experiment"] : ["jobs", "job"];
  return [
    "from gblend_client import Gblend",
    "",
    `spec = ${pythonOf(body)}`,
    "",
    `with Gblend(${JSON.stringify(origin)}) as gblend:`,
    `    ${kind} = gblend.${noun}.submit(spec)`,
    `    print(${kind}.id, ${kind}.status)`,
    "",
  ].join("\n");
}

export function asCommand({ origin, path, body }) {
  const command = path.endsWith("/experiments") ? "compare - --no-wait" : "submit -";
  return `gblend ${command} --url ${quoted(origin)} ${heredoc(jsonText(body))}`;
}

/** JSON as a Python literal. JSON's escapes mean the same in Python's texts. */
function pythonOf(value, indent = "") {
  const inner = `${indent}    `;
  if (value === null) return "None";
  if (value === true || value === false) return value ? "True" : "False";
  if (Array.isArray(value)) {
    return value.length ? `[\n${value.map((item) => `${inner}${pythonOf(item, inner)},\n`).join("")}${indent}]` : "[]";
  }
  if (typeof value === "object") {
    const lines = Object.entries(value).map(([name, one]) => `${inner}${jsonText(name)}: ${pythonOf(one, inner)},\n`);
    return lines.length ? `{\n${lines.join("")}${indent}}` : "{}";
  }
  return jsonText(value);
}
