"""Decoded samples on disk are the same numbers as in memory, leave nothing behind, and may not fit."""

from __future__ import annotations

import io
import os
import resource
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.dataset import PreparedData, prepare
from core.data.loading import Loading
from core.data.modalities import space as module
from core.data.modalities.space import Shelf, Space
from core.errors import DataError
from tests.unit.data.builders import clip_spec, clips, job, write_csv

Written = Callable[[Path, list[dict[str, Any]]], dict[str, Any]]
HINT = "set a smaller preprocess.size"


def mapped_files() -> int:
    """How many files without a name this process has mapped."""
    return Path("/proc/self/maps").read_text().count("(deleted)")


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk with room for so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_too_large_for_memory_is_on_disk_and_reads_the_same(tmp_path: Path) -> None:
    space = Space(tmp_path, memory_bytes=100)
    assert (space.is_on_disk(100), space.is_on_disk(101)) == (False, True)
    before = mapped_files()
    small = space.zeros((25,), np.float32, what="images", hint=HINT)
    assert mapped_files() == before
    large = space.zeros((26, 1), np.float32, what="images", hint=HINT)
    assert mapped_files() == before + 1
    assert (small.shape, large.shape, large.dtype, large.any()) == ((25,), (26, 1), np.float32, False)
    large[3:5] = [[1.5], [2.5]]
    assert large[[4, 3, 0], 0].tolist() == [2.5, 1.5, 0.0]
    assert list(tmp_path.iterdir()) == []
    del large
    assert mapped_files() == before


def test_without_a_folder_memory_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.data.modalities.base.MAX_STORE_BYTES", 1000)
    assert not Space(None, memory_bytes=0).is_on_disk(1000)
    with pytest.raises(DataError, match=r"data\.too_large"):
        Space().zeros((1001,), np.uint8, what="images", hint=HINT)


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path) -> None:
    space = Space(tmp_path, memory_bytes=0)
    with pytest.raises(DataError) as raised:
        space.zeros((2**30, 2**20), np.uint8, what="images", hint=HINT)
    assert raised.value.code == "data.disk_full"
    assert raised.value.detail.startswith("the decoded images take 1048576.0 GiB on the worker's disk; ")
    assert raised.value.detail.endswith(" GiB are free")
    assert raised.value.hint == "set a smaller preprocess.size; or free the disk of the worker's state folder"
    with files_of_at_most(4096), pytest.raises(DataError, match="there is no room for them"):
        space.zeros((4097,), np.uint8, what="images", hint=HINT)


def test_a_shelf_moves_to_disk_once_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SEGMENT", 64)
    shelf = Shelf(Space(tmp_path, memory_bytes=50), "sounds", HINT)
    given = [np.full((2, n), n, dtype=np.float32) for n in (1, 4, 3, 4, 40, 5)]  # 8, 40, 56, 88, 408, 448 bytes so far
    before = mapped_files()
    kept = [shelf.keep(values) for values in given]
    assert [one is other for one, other in zip(kept, given, strict=True)] == [True, True, False, False, False, False]
    assert mapped_files() == before + 3  # 24 and 32 bytes in one of 64, one of 320, and 40 bytes in a third
    for one, other in zip(kept, given, strict=True):
        assert np.array_equal(one, other)


def in_a_manifest(root: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    write_csv(root / "clips" / "manifest.csv", rows)
    return clip_spec()


def in_shards(root: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    with tarfile.open(root / "shard.tar", "w") as shard:
        for row in rows:
            members = {"cls": row["label"].encode()}
            members |= {
                kind: (root / "clips" / row[column]).read_bytes()
                for kind, column in (("wav", "sound"), ("png", "picture"))
                if row[column]
            }
            for kind, raw in members.items():
                member = tarfile.TarInfo(f"{row['id']}.{kind}")
                member.size = len(raw)
                shard.addfile(member, io.BytesIO(raw))
    spec = clip_spec(
        source={"type": "webdataset", "uri": "data://shard.tar"},
        target={"column": "cls"},
        split={"method": "draw", "fractions": {"train": 0.6, "validation": 0.2, "test": 0.2}},
    )
    del spec["sample_id"]
    for modality, column in zip(spec["modalities"], ("wav", "png"), strict=True):
        modality["column"] = column
    return spec


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks at mappings as Linux shows them")
@pytest.mark.parametrize("written", [in_a_manifest, in_shards])
def test_a_data_set_is_the_same_wherever_it_is_kept(written: Written, roots: dict[str, Path], tmp_path: Path) -> None:
    rows = clips(roots["data"] / "clips")
    rows[4]["picture"] = rows[11]["picture"] = rows[7]["sound"] = ""
    for name in ("3.png", "20.wav"):
        (roots["data"] / "clips" / name).write_bytes(b"junk")
    spec = written(roots["data"], rows) | {"on_bad_sample": {"action": "drop", "max_fraction": 0.1}}
    spec["modalities"] = [each | {"missing": "mask"} for each in spec["modalities"]]
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def prepared(**loading: Any) -> PreparedData:
        return prepare(job(spec), roots, Loading(**loading))

    before = mapped_files()
    one, other = prepared(), prepared(memory_bytes=0, scratch=scratch)
    assert mapped_files() >= before + 2
    assert os.listdir(scratch) == []
    assert (one.fingerprint, one.warnings, one.preprocessing) == (
        other.fingerprint,
        other.warnings,
        other.preprocessing,
    )
    assert len(one.sample_ids) == 22
    everything, wanted = np.arange(22)[::-1], one.batch(np.arange(22)[::-1])
    assert sorted(wanted) == ["face", "face:present", "voice", "voice:present"]
    assert wanted["face:present"].sum() == 20
    for name, values in other.batch(everything).items():
        assert np.array_equal(values, wanted[name])
        assert values.flags.c_contiguous
