"""Small files, tables and specs for the tests of `core.data`."""

from __future__ import annotations

import csv
import io
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import Issue
from core.spec.job import JobSpec

RATE = 8000


def png(pixels: Any, *, kind: str = "PNG") -> bytes:
    """An encoded image of 8-bit pixels `[H, W]` or `[H, W, 3]` (or 16-bit greys)."""
    out = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(out, kind)
    return out.getvalue()


def grey(value: int, size: tuple[int, int] = (4, 4)) -> bytes:
    """A PNG of one grey."""
    return png(np.full(size, value, dtype=np.uint8))


def wav(samples: NDArray[Any], rate: int = RATE, channels: int = 1) -> bytes:
    """A 16-bit WAV of samples in -1..1, `[n]` or `[n, channels]`."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.asarray(samples) * 32767).astype("<i2").tobytes())
    return out.getvalue()


def tone(hertz: float, seconds: float = 0.1, rate: int = RATE, loud: float = 0.5) -> NDArray[np.float64]:
    """A sine."""
    return loud * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A csv with the first row's keys as its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def clips(folder: Path, n: int = 24, classes: int = 3, speakers: int = 4) -> list[dict[str, Any]]:
    """`n` rows of a sound-and-image set with its files: class k is a tone and a grey; every class has every speaker.

    Columns: id, label, speaker, split (train, val, test in turn of four, last two), sound, picture, height.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for index in range(n):
        label, speaker = index % classes, (index // classes) % speakers
        (folder / f"{index}.wav").write_bytes(wav(tone(400.0 * (label + 1) + 10 * speaker, 0.05 + 0.01 * speaker)))
        (folder / f"{index}.png").write_bytes(grey(60 * label + index))
        rows.append(
            {
                "id": f"clip-{index:02d}",
                "label": "abc"[label] if classes <= 3 else str(label),
                "speaker": f"speaker {speaker}",
                "split": ("train", "train", "val", "test")[speaker % 4],
                "sound": f"{index}.wav",
                "picture": f"{index}.png",
                "height": 1.5 + index,
            }
        )
    return rows


def clip_spec(**changes: Any) -> dict[str, Any]:
    """The data-set spec of `clips` as JSON, with changes on top; `holdout` goes beside it (see `job`)."""
    return {
        "source": {"type": "manifest", "uri": "data://clips/manifest.csv"},
        "sample_id": "id",
        "target": {"column": "label"},
        "modalities": [
            {"name": "voice", "type": "audio", "column": "sound", "preprocess": {"sample_rate": RATE, "mels": 16}},
            {"name": "face", "type": "image", "column": "picture"},
        ],
        "split": {"method": "column", "column": "split", "group_by": ["speaker"]},
        **changes,
    }


def table_spec(**changes: Any) -> dict[str, Any]:
    """A spec of two tabular modalities over the columns `x` (number) and `c` (category) of `t.csv`."""
    return {
        "source": {"type": "manifest", "uri": "data://t.csv"},
        "target": {"column": "label"},
        "modalities": [
            {"name": "numbers", "type": "tabular", "columns": [{"name": "x", "type": "number"}]},
            {"name": "names", "type": "tabular", "columns": [{"name": "c", "type": "category"}]},
        ],
        "split": {"method": "column", "column": "split"},
        **changes,
    }


def table_rows(n: int = 16) -> list[dict[str, Any]]:
    """Rows for `table_spec`: two classes, half of each in train and in test."""
    return [
        {"label": "ab"[i % 2], "split": "train" if i < n // 2 else "test", "x": i * i, "c": "pqr"[i % 3]}
        for i in range(n)
    ]


def job(dataset: Mapping[str, Any], *, holdout: Mapping[str, Any] | None = None, seed: int = 0) -> JobSpec:
    """A job over a data set."""
    return JobSpec.model_validate({"dataset": dict(dataset), "holdout": dict(holdout or {}), "seed": seed})


def errors(issues: Sequence[Issue]) -> list[tuple[str, str | None]]:
    """Code and pointer of every error."""
    return [(issue.code, issue.pointer) for issue in issues if issue.severity == "error"]


def warnings(issues: Sequence[Issue]) -> list[str]:
    """Codes of every warning."""
    return [issue.code for issue in issues if issue.severity == "warning"]


def only(issues: Sequence[Issue], code: str) -> Issue:
    """The one issue with this code."""
    found = [issue for issue in issues if issue.code == code]
    assert len(found) == 1, f"{len(found)} issues {code!r} among {issues}"
    return found[0]
