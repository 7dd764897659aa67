"""A manifest of a million rows is checked and prepared within a bound of memory, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[3]
ROWS, GROUP, NUMBERS, LENGTH = 1_000_000, 125_000, 8, 64


def write(path: Path) -> None:
    """Columns id, label, path, x0 to x7 and vector (64 float32); each group of rows has the first one's numbers."""
    draw = np.random.default_rng(0)
    numbers = [pa.array(draw.normal(size=GROUP)) for _ in range(NUMBERS)]
    bounds = pa.array(np.arange(0, LENGTH * (GROUP + 1), LENGTH, dtype=np.int32))
    vector = pa.ListArray.from_arrays(bounds, pa.array(draw.normal(size=LENGTH * GROUP).astype(np.float32)))
    names = ["id", "label", "path", *(f"x{index}" for index in range(NUMBERS)), "vector"]
    writer = None
    for start in range(0, ROWS, GROUP):
        rows = range(start, start + GROUP)
        columns = [
            pa.array([f"clip-{row:08d}" for row in rows]),
            pa.array([f"class {row % 10}" for row in rows]),
            pa.array([f"some/folder/{row % 100:03d}/{row:08d}.png" for row in rows]),
            *numbers,
            vector,
        ]
        table = pa.table(columns, names=names)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="none", use_dictionary=["label"])
        writer.write_table(table)
    assert writer is not None
    writer.close()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `big.parquet`, 370 MB; pytest would keep it for three runs."""
    folder = tmp_path_factory.mktemp("data")
    write(folder / "big.parquet")
    yield folder
    (folder / "big.parquet").unlink()


def child(root: Path, what: str) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).with_name("big_check.py")), str(root), what]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_it_is_checked_within_half_a_gigabyte(root: Path) -> None:
    """The columns that are looked at take 220 MB as NumPy and Python objects, imports 85."""
    told = child(root, "check")
    assert told["found"] == ["file.missing"]
    assert told["peak"] < 500


def test_statistics_take_no_more(root: Path) -> None:
    told = child(root, "inspect")
    assert told["found"] == ROWS
    assert told["peak"] < 500


def test_it_is_prepared_with_its_vectors_there_twice(root: Path) -> None:
    """256 MB as they are read, 256 as they are encoded; and no Arrow table, no Python object per row beside them."""
    told = child(root, "prepare")
    assert told["found"] == {"train": 595_000, "holdout": 105_000, "validation": 150_000, "test": 150_000}
    assert told["peak"] < 1100
