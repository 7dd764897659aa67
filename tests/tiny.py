"""A data set that trains in a second: two vectors per sample, one that tells the class and one that is noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

ROWS = 160
ONLINE = {
    "strategy": "online",
    "super_epochs": {"first": 2, "later": 1},
    "estimator": {"type": "exact"},
    "floor": 0.0,
    "cap_noise": False,
}
"""Algorithm 3 to the letter: an exact estimate at every super-epoch, and nothing but the policy behind a weight."""


def write_tiny(folder: Path) -> Path:
    """Writes `tiny.npz` into `folder`: 160 rows, 3 classes; 112 train, 16 validation, 32 test. Returns its path."""
    rng = np.random.default_rng(5)
    labels = np.arange(ROWS) % 3
    centres = rng.normal(size=(3, 6))
    path = folder / "tiny.npz"
    np.savez(
        path,
        clean=(centres[labels] + 0.8 * rng.normal(size=(ROWS, 6))).astype(np.float32),
        noisy=rng.normal(size=(ROWS, 20)).astype(np.float32),
        y=labels,
        part=np.array((["train"] * 7 + ["validation"] + ["test"] * 2) * 16),
    )
    return path


def write_tiny_tasks(folder: Path) -> Path:
    """Writes `tasks.npz`: the inputs and the split of `tiny.npz` with a target per task. Returns its path.

    `side` (text, 3 in 10 are `yes`), `marks` (160 x 4 of 0 and 1; the last label is rare, the third is noise) and
    `height` (a number around 1000 with a standard deviation near 50) follow from `clean`.
    """
    with np.load(write_tiny(folder)) as made:
        arrays = dict(made)
    rng = np.random.default_rng(11)
    clean = arrays["clean"].astype(np.float64)
    cuts = [np.quantile(clean[:, label], share) for label, share in enumerate((0.5, 0.6, 0.5, 0.9))]
    marks = clean[:, :4] + 0.3 * rng.normal(size=(ROWS, 4)) > np.array(cuts)
    marks[:, 2] = rng.random(ROWS) < 0.5
    height = 1000.0 + 50.0 * (clean[:, 0] - clean[:, 1]) / np.std(clean[:, 0] - clean[:, 1])
    path = folder / "tasks.npz"
    np.savez(
        path,
        **arrays,
        side=np.where(clean[:, 0] > np.quantile(clean[:, 0], 0.7), "yes", "no"),
        marks=marks.astype(np.uint8),
        height=height + 5.0 * rng.normal(size=ROWS),
    )
    return path


def write_tiny_masked(folder: Path) -> Path:
    """Writes `masked.parquet`: the rows of `tiny.npz`, of which 64 lack `clean` and 16 others `noisy`, whatever their
    class. Returns its path.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with np.load(write_tiny(folder)) as made:
        arrays = dict(made)
    order = np.random.default_rng(13).permutation(ROWS)
    gone = {"clean": set(order[:64].tolist()), "noisy": set(order[64:80].tolist())}
    columns: dict[str, Any] = {"y": arrays["y"], "part": arrays["part"]}
    for name, rows in gone.items():
        columns[name] = [None if row in rows else values.tolist() for row, values in enumerate(arrays[name])]
    path = folder / "masked.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def tiny_masked_spec(blending: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    """`tiny_spec` over `data://masked.parquet`, where a row may lack either modality."""
    spec = tiny_spec(blending, **parts)
    modalities = [modality | {"missing": "mask"} for modality in spec["dataset"]["modalities"]]
    source = {"type": "manifest", "uri": "data://masked.parquet"}
    return spec | {"dataset": spec["dataset"] | {"source": source, "modalities": modalities}}


JITTER = {"jitter": 0.5, "scale": 0.2, "time_masks": 1, "time_width": 0.25, "shift": 0.2}
"""Every variation of a timeseries."""


def tiny_augmented_spec(
    blending: dict[str, Any] | None = None, *, augment: dict[str, Any] | None = None, masked: bool = False, **parts: Any
) -> dict[str, Any]:
    """`tiny_spec`, or `tiny_masked_spec`, with both vectors read as series of one channel whose training batches are
    varied by `augment` (`JITTER`).
    """
    spec = (tiny_masked_spec if masked else tiny_spec)(blending, **parts)
    augment = JITTER if augment is None else augment
    shapes = {"noisy": [20, 1], "clean": [6, 1]}
    modalities = [
        modality | {"type": "timeseries", "shape": shapes[modality["name"]], "augment": augment}
        for modality in spec["dataset"]["modalities"]
    ]
    return spec | {"dataset": spec["dataset"] | {"modalities": modalities}}


def tiny_task_spec(task: str, blending: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    """`tiny_spec` over `data://tasks.npz`, with the target of a task."""
    column = {"multiclass": "y", "binary": "side", "multilabel": "marks", "regression": "height"}[task]
    spec = tiny_spec(blending, **parts)
    dataset = spec["dataset"] | {
        "source": {"type": "arrays", "uri": "data://tasks.npz"},
        "target": {"column": column, "type": task},
    }
    return spec | {"dataset": dataset}


def tiny_spec(
    blending: dict[str, Any] | None = None,
    *,
    epochs: int = 4,
    training: dict[str, Any] | None = None,
    dropout: float = 0.0,
    **parts: Any,
) -> dict[str, Any]:
    """The JSON of a job over `data://tiny.npz`; keyword arguments replace its top-level parts."""
    return {
        "seed": 3,
        "dataset": {
            "source": {"type": "arrays", "uri": "data://tiny.npz"},
            "target": {"column": "y"},
            "modalities": [
                {"name": name, "type": "embedding", "column": name, "encoder": {"features": 8}}
                for name in ("noisy", "clean")
            ],
            "split": {"method": "column", "column": "part"},
        },
        "holdout": {"fraction": 0.25},
        "model": {"dropout": dropout},
        "blending": blending or ONLINE,
        "training": {
            "epochs": epochs,
            "batch_size": 16,
            "optimizer": {"type": "adam", "lr": 0.01},
            "fine_tune": {"epochs": 2},
        }
        | (training or {}),
        "runtime": {"device": "cpu"},
    } | parts
