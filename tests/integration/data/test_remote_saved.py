"""Saved Hugging Face data sets on an S3 (moto's server): fetched as a whole, then read as from this disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.dataset import prepare
from core.data.inference import infer
from core.data.inspection import inspect
from core.data.sources import Limits
from core.data.validation import CheckLimits, check
from core.errors import DataError
from core.settings import RootSettings, Settings
from core.spec.job import JobSpec
from tests.integration.data.test_remote import PREFIX, copies, put, remote
from tests.s3_server import S3Server
from tests.unit.data.builders import errors, job, only, warnings
from tests.unit.data.saved import save_dict, save_to_disk
from tests.unit.data.test_hf_disk import hf_spec, rows_of

BY_FILES = {"method": "files", "train": "train", "test": "test"}


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    """A local root, and everything below `sets/` in the bucket."""
    (tmp_path / "data").mkdir()
    return Settings(state_dir=tmp_path, roots=RootSettings(remote=(PREFIX,))).data_roots


def there(**changes: Any) -> JobSpec:
    """A job of the data set in the bucket."""
    return job(remote(hf_spec(**changes)))


def both_are_alike(roots: dict[str, Path], **changes: Any) -> None:
    local, far = prepare(job(hf_spec(**changes)), roots), prepare(there(**changes), roots)
    rows = np.arange(len(local.sample_ids))
    for name, values in local.batch(rows).items():
        np.testing.assert_array_equal(far.batch(rows)[name], values)
    assert far.sample_ids == local.sample_ids
    assert {part: each.tolist() for part, each in far.split.as_dict().items()} == {
        part: each.tolist() for part, each in local.split.as_dict().items()
    }


def test_a_data_set_is_fetched_as_a_whole(s3_server: S3Server, roots: dict[str, Path], tmp_path: Path) -> None:
    save_to_disk(tmp_path / "data" / "set", *rows_of(), shards=3, batch=7)
    put(s3_server, tmp_path / "data")
    spec = there()
    found = inspect(spec.dataset, spec.holdout, roots)
    assert (found.is_valid, found.statistics is not None) == (True, True)
    assert len(copies(tmp_path)) == 5  # three of rows, and what is said of them
    both_are_alike(roots)
    assert len(copies(tmp_path)) == 5
    assert infer(f"{PREFIX}/set", roots).dataset["source"] == {"type": "hf_disk", "uri": f"{PREFIX}/set"}


def test_a_dict_by_its_parts(s3_server: S3Server, roots: dict[str, Path], tmp_path: Path) -> None:
    table, features = rows_of()
    save_dict(tmp_path / "data" / "set", {"train": table.slice(0, 30), "test": table.slice(30)}, features)
    put(s3_server, tmp_path / "data")
    both_are_alike(roots, split=BY_FILES)
    guess = infer(f"{PREFIX}/set", roots).dataset
    assert (guess["source"], guess["split"]) == ({"type": "hf_disk", "uri": f"{PREFIX}/set"}, BY_FILES)
    guessed = job(guess)
    assert errors(check(guessed.dataset, guessed.holdout, roots)) == []
    spec = there()
    issue = only(check(spec.dataset, spec.holdout, roots), "source.format")
    assert (issue.pointer, issue.examples) == ("#/dataset/source/uri", ("'train'", "'test'"))
    twice = there(split={**BY_FILES, "test": "train"})
    assert errors(check(twice.dataset, twice.holdout, roots)) == [("split.leak", "#/dataset/split/test")]


def test_its_bytes_are_bounded(s3_server: S3Server, roots: dict[str, Path], tmp_path: Path) -> None:
    save_to_disk(tmp_path / "data" / "set", *rows_of())
    put(s3_server, tmp_path / "data")
    spec = there()
    size = (tmp_path / "data" / "set" / "data-00000-of-00001.arrow").stat().st_size
    bound = CheckLimits(source=Limits(fetched_bytes=size - 1))
    refused = check(spec.dataset, spec.holdout, roots, limits=bound)
    assert errors(refused) == [("source.too_large", "#/dataset/source/uri")]
    left = check(spec.dataset, spec.holdout, roots, limits=CheckLimits(source=Limits(fetched_now=size - 1)))
    assert (errors(left), warnings(left)) == ([], ["source.not_checked"])
    assert [path.suffix for path in copies(tmp_path)] == [".json"] * 2


def test_a_file_that_is_not_there_or_lies_elsewhere(
    s3_server: S3Server, roots: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "set"
    save_to_disk(folder, *rows_of(), shards=2)
    put(s3_server, tmp_path / "data")
    s3_server.client().delete_object(Bucket=s3_server.BUCKET, Key="sets/set/data-00001-of-00002.arrow")
    with pytest.raises(DataError, match="lacks the file 'data-00001") as raised:
        prepare(there(), roots)
    assert raised.value.code == "source.not_found"
    state = json.loads((folder / "state.json").read_text())
    state["_data_files"] = [{"filename": "../other/data.arrow"}]
    s3_server.client().put_object(Bucket=s3_server.BUCKET, Key="sets/set/state.json", Body=json.dumps(state).encode())
    spec = there()
    assert errors(check(spec.dataset, spec.holdout, roots)) == [("source.forbidden", "#/dataset/source/uri")]


def test_a_folder_without_a_data_set_and_none(s3_server: S3Server, roots: dict[str, Path]) -> None:
    s3_server.client().put_object(Bucket=s3_server.BUCKET, Key="sets/set/a.txt", Body=b"x")
    spec = there()
    assert errors(check(spec.dataset, spec.holdout, roots)) == [("source.malformed", "#/dataset/source/uri")]
    s3_server.client().delete_object(Bucket=s3_server.BUCKET, Key="sets/set/a.txt")
    assert errors(check(spec.dataset, spec.holdout, roots)) == [("source.not_found", "#/dataset/source/uri")]


def test_a_damaged_file_is_told_as_on_this_disk(s3_server: S3Server, roots: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "data" / "set"
    save_to_disk(folder, *rows_of())
    arrow = folder / "data-00000-of-00001.arrow"
    arrow.write_bytes(arrow.read_bytes()[:-500])
    put(s3_server, tmp_path / "data")
    codes = []
    for spec in (job(hf_spec()), there()):
        with pytest.raises(DataError) as raised:
            prepare(spec, roots)
        codes.append(errors(raised.value.issues))
    assert codes[0] == codes[1] == [("source.malformed", "#/dataset/source/uri")]
