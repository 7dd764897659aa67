/** The numbers behind the charts, as tables: what is drawn, and everything there is. */
import { rowsOf } from "../lib/api.js";

const OF_A_HEAD = ["weight", "weight_low", "weight_high", "G", "G_se", "O", "O_se", "ogr", "ogr_se", "train_before", "train_after", "holdout_before", "holdout_after"];

/** One line for each super-epoch and head. */
export function superEpochTable(rows) {
  return {
    columns: ["super_epoch", "first_epoch", "epochs", "policy", "head", ...OF_A_HEAD, "flags", "degenerate", "seconds"],
    rows: rows.flatMap((row) =>
      row.heads.map((head) => [
        row.super_epoch, row.first_epoch, row.epochs, row.policy, head.head, ...OF_A_HEAD.map((field) => head[field]),
        head.flags.join(" "), row.degenerate, row.cost.seconds,
      ]),
    ),
  };
}

/** The same of every super-epoch of a job. */
export async function allSuperEpochs(jobId) {
  const rows = [];
  for await (const row of rowsOf(`/v1/jobs/${jobId}/super-epochs`)) rows.push(row);
  return superEpochTable(rows);
}

/** One line for each point of each of these curves (`{head, split, metric, points}`). */
export function curveTable(curves) {
  return {
    columns: ["head", "split", "metric", "epoch", "value", "se"],
    rows: curves.flatMap(({ head, split, metric, points }) => points.map((point) => [head, split, metric, point.epoch, point.value, point.se])),
  };
}

/** Every measured value of a metric in a job. */
export async function allPoints(jobId, query) {
  const rows = [];
  for await (const row of rowsOf(`/v1/jobs/${jobId}/metrics`, query)) {
    rows.push([row.head, row.split, row.metric, row.scope, row.epoch, row.value, row.se]);
  }
  return { columns: ["head", "split", "metric", "scope", "epoch", "value", "se"], rows };
}
