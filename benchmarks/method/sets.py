"""The data sets: job specs without a strategy, all with the service's default training (20 epochs, Adam).

Each is read where it lies; what needs preparing goes to a temporary folder.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import yaml
from numpy.typing import NDArray

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TEXT_WIDTH = 1024
Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DataSet:
    """A named set: `spec(root, scratch)` gives the job spec without a strategy, and the folder that `data://` means."""

    name: str
    folder: str
    """Its folder below the data root; the set is skipped, loudly, where that is missing."""
    spec: Callable[[Path, Path], tuple[Spec, Path]]


def _avdigits(*, level: str, group_by: Sequence[str] = ("speaker",)) -> Callable[[Path, Path], tuple[Spec, Path]]:
    def make(root: Path, _scratch: Path) -> tuple[Spec, Path]:
        spec = yaml.safe_load((EXAMPLES / "avdigits.yaml").read_text())
        spec["dataset"]["modalities"][0]["preprocess"]["level"] = level
        spec["holdout"]["group_by"] = list(group_by)
        return spec, root

    return make


def _arrays(uri: str, modalities: Sequence[str]) -> Spec:
    return {
        "dataset": {
            "source": {"type": "arrays", "uri": uri},
            "target": {"column": "y"},
            "modalities": [{"name": name, "type": "embedding", "column": name} for name in modalities],
            "split": {
                "method": "column",
                "column": "is_test",
                "values": {"train": ["false"], "validation": [], "test": ["true"]},
            },
        },
    }


def _features(name: str) -> Callable[[Path, Path], tuple[Spec, Path]]:
    def make(root: Path, _scratch: Path) -> tuple[Spec, Path]:
        with np.load(root / name / "features.npz") as arrays:
            modalities = sorted(set(arrays.files) - {"y", "is_test"})
        return _arrays(f"data://{name}/features.npz", modalities), root

    return make


def _airline(root: Path, scratch: Path) -> tuple[Spec, Path]:
    """Words and pairs of words, and each category, hashed into fixed-length counts: no text encoder is at work here."""
    path = scratch / "airline.npz"
    if not path.exists():
        rows = pyarrow.parquet.read_table(root / "airline" / "manifest.parquet").to_pylist()
        table = [
            ("tweet_location", 256),
            ("user_timezone", 64),
            ("weekday", 16),
            ("hour", 32),
            ("day", 32),
            ("has_coord", 4),
        ]
        np.savez(
            path,
            text=np.stack([np.sqrt(_hashed(_words(row["text"]), TEXT_WIDTH)) for row in rows]),
            table=np.stack([np.concatenate([_hashed([str(row[key])], size) for key, size in table]) for row in rows]),
            y=np.unique([str(row["label"]) for row in rows], return_inverse=True)[1].astype(np.int64),
            is_test=np.array([row["split"] == "test" for row in rows]),
        )
    return _arrays("data://airline.npz", ["table", "text"]), scratch


def _words(text: str) -> list[str]:
    words = re.findall(r"[a-z0-9@#']+", text.lower())
    return words + [f"{left} {right}" for left, right in itertools.pairwise(words)]


def _hashed(tokens: Sequence[str], width: int) -> NDArray[np.float32]:
    found = np.zeros(width, dtype=np.float32)
    for token in tokens:
        found[zlib.crc32(token.encode()) % width] += 1.0
    return found


SETS = (
    DataSet("avdigits, as recorded", "avdigits", _avdigits(level="none")),
    DataSet("avdigits, levelled", "avdigits", _avdigits(level="rms")),
    DataSet("landuse21", "landuse21", _features("landuse21")),
    DataSet("mfeat", "mfeat", _features("mfeat")),
    DataSet("airline", "airline", _airline),
)
RANDOM_V = (
    DataSet("avdigits, as recorded, V at random", "avdigits", _avdigits(level="none", group_by=())),
    DataSet("avdigits, levelled, V at random", "avdigits", _avdigits(level="rms", group_by=())),
)
"""The same rows with a V that ignores who speaks: what the service warns of."""
