/** How to get the model and read it elsewhere: with the command, with Python, with curl. */
import { html, useState } from "../../lib/dom.js";
import { CopyButton } from "../../parts/copy.js";
import { Tabs } from "../../parts/tabs.js";
import { quoted } from "../../lib/shell.js";

const TABS = [
  { key: "cli", title: "CLI" },
  { key: "python", title: "Python" },
  { key: "curl", title: "curl" },
];

export function Usage({ job, files }) {
  const [tab, setTab] = useState("cli");
  const text = { cli, python, curl }[tab](job, files, location.origin);
  return html`<section class="card stack" aria-label="Use it">
    <h2>Use it</h2>
    <p class="small muted">The files are all that is needed: <code>model.json</code> says how to build the model, prepare its inputs and combine its heads. The service cannot predict with a model yet.</p>
    <${Tabs} label="Use it with" tabs=${TABS} value=${tab} onChange=${setTab}>
      <pre tabindex="0">${text}</pre>
      <div><${CopyButton} text=${text}>Copy<//></div>
    <//>
  </section>`;
}

function cli(job, _, origin) {
  return `gblend download ${job.id} --dest model --url ${quoted(origin)}   # verified by sha256; resumes what was broken off\n`;
}

function python(job, files, origin) {
  const lines = ["from gblend_client import Gblend", "", `with Gblend(${JSON.stringify(origin)}) as gblend:`, `    gblend.jobs.download("${job.id}", "model")`, ""];
  const has = (name) => files.some((file) => file.name === name);
  if (!has("model.json") || !has("model.safetensors")) return lines.join("\n");
  return [
    "import json",
    "from pathlib import Path",
    "",
    "from safetensors.numpy import load_file  # pip install safetensors",
    ...lines,
    'card = json.loads(Path("model/model.json").read_text())',
    'parameters = load_file("model/model.safetensors")',
    'print(card["task"], card["answer"], card["modalities"])',
    "print({name: value.shape for name, value in parameters.items()})",
    "",
  ].join("\n");
}

function curl(_, files, origin) {
  return files.map((file) => `curl --fail --silent --show-error --output ${quoted(file.name)} ${quoted(origin + file.href)}\n`).join("");
}
