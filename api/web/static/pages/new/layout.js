/** What a form cannot read from a schema: which fields come first, what belongs together, a few names. A field of the spec
 *  that is named nowhere here appears by itself: under "More options" of its object, or in the last section. */
import { words } from "../../lib/format.js";

/** Object of the schema -> fields that are always in sight; of an object that is not listed all are. What is required is
 *  in sight anyhow. */
const COMMON = {
  JobSpec: ["name"],
  DatasetSpec: ["source"],
  Target: ["column", "type", "separator"],
  ManifestSource: ["uri"],
  FolderSource: ["uri", "layout"],
  ImageModality: [], AudioModality: [], VideoModality: [], TabularModality: [], TimeseriesModality: [], EmbeddingModality: [],
  TextModality: ["column"],
  ColumnSplit: ["column", "group_by"],
  FilesSplit: ["train", "validation", "test"],
  DrawSplit: ["fractions", "group_by"],
  HashSplit: ["fractions", "group_by"],
  Holdout: ["fraction"],
  OnlineBlending: ["super_epochs"],
  OfflineBlending: ["policy"],
  TrainingSpec: ["epochs", "batch_size", "optimizer"],
  Scheduling: ["queue", "priority"],
  ModelSpec: ["fusion"],
  ImagePreprocess: ["size"],
  AudioPreprocess: ["sample_rate", "max_seconds"],
};

const LABELS = { lr: "Learning rate", uri: "Address (URI)", base_uri: "Base address (URI)", mels: "Mel bands", holdout: "Held-out part V" };

/** Sections of the form: fields of the job spec by their paths. `more`: under "More options" of the first one. */
export const SECTIONS = [
  { key: "blending", title: "Blending strategy", fields: [["blending"]] },
  { key: "training", title: "Training", fields: [["training"]], more: [["seed"]] },
  { key: "model", title: "Model and answer", fields: [["model"]], more: [["answer"], ["diagnostics"]] },
  { key: "scheduling", title: "Where and when it runs", fields: [["scheduling"]], more: [["runtime"]] },
  { key: "metadata", title: "Labels", fields: [["metadata"]] },
];

/** Fields of the job spec that have a place of their own. */
export const PLACED = new Set(["name", "dataset", "holdout", ...SECTIONS.flatMap(({ fields, more = [] }) => [...fields, ...more].map(([name]) => name))]);

/** Fields whose group needs no frame: the section's title says what they are. */
export const BARE = new Set(["blending", "training", "model", "scheduling", "metadata", "target"]);

export function isCommon(title, name, required) {
  return required.includes(name) || !Object.hasOwn(COMMON, title) || COMMON[title].includes(name);
}

/** What a field is called: `max_grad_norm` -> `Max grad norm`. */
export function labelOf(name) {
  const text = Object.hasOwn(LABELS, name) ? LABELS[name] : words(String(name));
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What may be typed at a path, where that is known: names of columns, of modalities, of heads. */
export function suggestionsFor(path, { columns, modalities }) {
  const [name, parent] = [path.at(-1), path.at(-2)];
  const of = /^\d+$/.test(name) ? parent : name;
  if (["column", "columns", "sample_id", "stratify_by", "group_by"].includes(of)) return columns;
  if (parent === "columns" || (name === "name" && path.includes("columns"))) return columns;
  if (path[0] === "blending" && of === "modality") return modalities;
  if (path[0] === "blending" && ["weights", "floor"].includes(of)) return [...modalities, "fused"];
  return [];
}
