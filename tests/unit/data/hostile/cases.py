"""What a hostile case is: files below a root, a data-set spec, and the one error that it must end in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.unit.data.builders import grey, table_rows, tone, wav

Spec = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """`build` writes below the folder `data` and gives the data-set spec; `codes` are all errors, in order."""

    name: str
    build: Callable[[Path], Spec]
    codes: tuple[str, ...]
    by: str = "check"
    """Which tier tells: `check` (when a job is submitted) or `prepare` (in the worker)."""


NUMBERS: Spec = {"name": "numbers", "type": "tabular", "columns": [{"name": "x", "type": "number"}]}
NAMES: Spec = {"name": "names", "type": "tabular", "columns": [{"name": "c", "type": "category"}]}


def spec(source: Spec, *modalities: Spec, **changes: Any) -> Spec:
    """A spec over the columns of `table_rows`; two tabular modalities unless others are given."""
    return {
        "source": source,
        "target": {"column": "label"},
        "modalities": list(modalities) or [NUMBERS, NAMES],
        "split": {"method": "column", "column": "split"},
        **changes,
    }


def manifest(name: str, *modalities: Spec, **changes: Any) -> Spec:
    """A spec over the manifest of that name."""
    return spec({"type": "manifest", "uri": f"data://{name}"}, *modalities, **changes)


def source_case(name: str, file: str, raw: bytes, code: str, make: Callable[[str], Spec] = manifest) -> Case:
    """One file that is the source itself."""

    def build(data: Path) -> Spec:
        (data / file).write_bytes(raw)
        return make(file)

    return Case(name=name, build=build, codes=(code,))


def media(kind: str, column: str = "m") -> Spec:
    """A modality that reads files."""
    spec: Spec = {"name": "seen", "type": kind, "column": column}
    if kind == "video":
        spec["preprocess"] = {"frames": 2}
    if kind == "audio":
        spec["preprocess"] = {"sample_rate": 8000, "mels": 16}
    return spec


def rows_with(cells: Sequence[str]) -> list[Spec]:
    """Sixteen good rows, whose column `m` holds these cells, and after them the first row's."""
    return [{**row, "m": cells[min(index, len(cells) - 1)]} for index, row in enumerate(table_rows(16))]


def media_case(name: str, kind: str, raw: bytes, code: str, *, file: str = "") -> Case:
    """One hostile file among good ones: told by the worker, as the file's contents are. No code: it is read."""
    good = {"image": grey(7), "audio": wav(tone(400)), "video": b""}[kind]

    def build(data: Path) -> Spec:
        hostile = file or {"image": "bad.png", "audio": "bad.wav", "video": "bad.mp4"}[kind]
        (data / hostile).write_bytes(raw)
        if good:
            (data / "good").write_bytes(good)
        write_rows(data / "t.csv", rows_with([hostile, "good"] if good else [hostile]))
        return manifest("t.csv", NUMBERS, media(kind))

    return Case(name=name, build=build, codes=(code,) if code else (), by="prepare" if code else "nobody")


def write_rows(path: Path, rows: Sequence[Spec]) -> None:
    """A csv, or by its extension jsonl."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(out.getvalue())
