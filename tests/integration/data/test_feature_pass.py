"""A pass of a frozen encoder that is killed with SIGKILL: what it had saved is not computed again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.data.feature_cache import FeatureCache
from tests import tiny_models
from tests.unit.data.builders import table_rows, write_csv

ROOT = Path(__file__).parents[3]
TEXTS, BATCH = 200, 32
WORDS = tiny_models.WORDS[2:]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = [f"{WORDS[k % len(WORDS)]} {WORDS[k // len(WORDS)]}" for k in range(TEXTS)]
    rows = [
        {**row, "split": "train" if k < 150 else "test", "words": text}
        for k, (row, text) in enumerate(zip(table_rows(TEXTS), texts, strict=True))
    ]
    write_csv(tmp_path / "t.csv", rows)
    (tmp_path / "bert").mkdir()
    tiny_models.bert(tmp_path / "bert")
    return tmp_path


def compute(folder: Path, kill_before: int = 0) -> int:
    """How many samples a child has sent through the model; it is killed before this batch (0: never)."""
    command = [sys.executable, "-m", "tests.integration.data.feature_child", str(folder), str(kill_before)]
    computed = 0
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line == "stopped\n":
                child.kill()
                break
            if line.startswith("computed"):
                computed += int(line.split()[1])
        child.wait()
    assert child.returncode == (-9 if kill_before else 0)
    return computed


def test_after_a_kill_only_the_rest_is_computed(folder: Path) -> None:
    assert compute(folder, kill_before=4) == 3 * BATCH
    assert compute(folder, kill_before=2) == BATCH
    assert compute(folder) == TEXTS - 4 * BATCH
    assert compute(folder) == 0


def test_what_a_killed_write_left_is_removed(folder: Path) -> None:
    """The name of a file that is not whole, and vectors whose index was not written any more."""
    assert compute(folder, kill_before=2) == BATCH
    (key,) = [path for path in (folder / "features").iterdir() if path.is_dir()]
    (key / ".abc.npy.0123").write_bytes(b"half")
    np.save(key / "abc.npy", np.zeros((3, 16), dtype=np.float32))
    assert compute(folder) == TEXTS - BATCH
    assert [path.name for path in key.iterdir() if "abc" in path.name] == []


def test_pieces_of_a_pass_are_found_together(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, 2**20)
    digests = [bytes([k]) * 32 for k in range(6)]
    for start in (0, 2, 4):
        cache.add("key", digests[start : start + 2], np.full((2, 4), start, dtype=np.float32))
    found = cache.find("key", digests)
    assert [found[digest].tolist() for digest in digests] == [[k // 2 * 2.0] * 4 for k in range(6)]
