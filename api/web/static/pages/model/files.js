/** The files that training left. */
import { html } from "../../lib/dom.js";
import { bytes } from "../../lib/format.js";
import { CopyButton } from "../../parts/copy.js";

const HOLDS = {
  model: "the parameters of every encoder and head (safetensors; nothing pickled)",
  card: "how to build the model, prepare inputs and answer",
  metrics: "measurements on the test part and on the rows of the choice",
  history: "weights, G, O and OGR with errors, per super-epoch and head",
  predictions: "what it answered on the test part",
};

export function Files({ files }) {
  if (files.length === 0) return html`<section class="card" aria-label="Files"><h2>Files</h2><p class="muted">It left no files behind.</p></section>`;
  const sums = `${files.map((file) => `${file.sha256}  ${file.name}`).join("\n")}\n`;
  return html`<section class="card stack" aria-label="Files">
    <div class="head"><h2>Files</h2><div><${CopyButton} text=${sums} label="Copy the digests, for sha256sum --check">Copy for <code>sha256sum --check</code><//></div></div>
    <div class="scroll"><table><thead><tr><th scope="col">File</th><th scope="col">What it holds</th><th scope="col" class="number">Size</th><th scope="col">sha256</th></tr></thead>
      <tbody>${files.map((file) => html`<tr><td><a href=${file.href} download=${file.name}>${file.name}</a></td><td class="holds">${HOLDS[file.kind] ?? file.kind}</td>
        <td class="number">${bytes(file.bytes)}</td><td class="mono break digest">${file.sha256}</td></tr>`)}</tbody></table></div>
  </section>`;
}
