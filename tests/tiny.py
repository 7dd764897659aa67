"""A data set that trains in a second: two vectors per sample, one that tells the class and one that is noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

ROWS = 160


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
        "blending": blending or {"strategy": "online", "super_epochs": {"first": 2, "later": 1}},
        "training": {
            "epochs": epochs,
            "batch_size": 16,
            "optimizer": {"type": "adam", "lr": 0.01},
            "fine_tune": {"epochs": 2},
        }
        | (training or {}),
        "runtime": {"device": "cpu"},
    } | parts
