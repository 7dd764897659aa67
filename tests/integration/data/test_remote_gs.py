"""Data sets on a Google Cloud Storage (an emulator): what `test_remote.py` tests on an S3, where the client matters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec.config
import numpy as np
import pytest
from gcsfs.core import GCSFileSystem

from core.data.dataset import prepare
from core.data.inference import infer
from core.data.remote import client
from core.data.validation import check
from core.settings import RootSettings, Settings
from tests.gcs_server import GcsServer
from tests.integration.data.test_remote import copies
from tests.unit.data.builders import clip_spec, clips, errors, job, write_csv
from tests.unit.data.saved import save_dict
from tests.unit.data.test_hf_disk import hf_spec, rows_of

PREFIX = "gs://gblend/sets"


@pytest.fixture(scope="module")
def _running() -> Iterator[GcsServer]:
    server = GcsServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def server(_running: GcsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsServer]:
    """An empty bucket; this process's clients are led to it."""

    def forget() -> None:
        client._client.cache_clear()
        GCSFileSystem.clear_instance_cache()

    _running.empty()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", _running.endpoint)
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
    forget()
    yield _running
    forget()


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    """A local root, and everything below `sets/` in the bucket."""
    (tmp_path / "data").mkdir()
    return Settings(state_dir=tmp_path, roots=RootSettings(remote=(PREFIX,))).data_roots


def put(server: GcsServer, folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            server.put(f"sets/{path.relative_to(folder).as_posix()}", path.read_bytes())


def remote(spec: dict[str, Any]) -> dict[str, Any]:
    return {**spec, "source": {**spec["source"], "uri": spec["source"]["uri"].replace("data:/", PREFIX)}}


def both_are_alike(roots: dict[str, Path], spec: dict[str, Any]) -> None:
    there = job(remote(spec))
    assert errors(check(there.dataset, there.holdout, roots)) == []
    local, far = prepare(job(spec), roots), prepare(there, roots)
    assert far.sample_ids == local.sample_ids
    rows = np.arange(len(local.sample_ids))
    for name, values in local.batch(rows).items():
        np.testing.assert_array_equal(far.batch(rows)[name], values)


def test_a_manifest_with_media(server: GcsServer, roots: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "data" / "clips"
    rows = clips(folder)
    write_csv(folder / "manifest.csv", rows)
    put(server, tmp_path / "data")
    both_are_alike(roots, clip_spec())
    assert len(copies(tmp_path)) == 49
    before = prepare(job(remote(clip_spec())), roots).fingerprint
    changed = bytearray((folder / "5.wav").read_bytes())
    changed[-2] ^= 1  # of the same size
    server.put("sets/clips/5.wav", bytes(changed))
    assert prepare(job(remote(clip_spec())), roots).fingerprint != before
    assert len(copies(tmp_path)) == 50
    rows[3]["sound"], rows[4]["picture"] = "nowhere.wav", "gs://gblend/other/1.png"
    write_csv(folder / "manifest.csv", rows)
    put(server, tmp_path / "data")
    spec = job(remote(clip_spec()))
    assert errors(check(spec.dataset, spec.holdout, roots)) == [
        ("source.forbidden", "#/dataset/modalities/1/column"),
        ("file.missing", "#/dataset/modalities/0/column"),
    ]


def test_class_folders_and_saved_data_sets(server: GcsServer, roots: dict[str, Path], tmp_path: Path) -> None:
    data = tmp_path / "data"
    for row in clips(tmp_path / "made", 24, classes=2):
        for name in ("picture", "sound"):
            target = data / "pets" / row["label"] / row[name]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((tmp_path / "made" / row[name]).read_bytes())
    table, features = rows_of()
    save_dict(data / "set", {"train": table.slice(0, 30), "test": table.slice(30)}, features)
    put(server, data)
    pets = {
        "source": {"type": "folder", "uri": "data://pets"},
        "target": {"column": "label"},
        "modalities": [
            {"name": "seen", "type": "image", "column": "image"},
            {"name": "heard", "type": "audio", "column": "audio", "preprocess": {"sample_rate": 8000}},
        ],
    }
    both_are_alike(roots, pets)
    both_are_alike(roots, hf_spec(split={"method": "files", "train": "train", "test": "test"}))
    assert infer(f"{PREFIX}/pets", roots).dataset["source"] == {"type": "folder", "uri": f"{PREFIX}/pets"}
    assert infer(f"{PREFIX}/set", roots).dataset["source"] == {"type": "hf_disk", "uri": f"{PREFIX}/set"}


@pytest.mark.usefixtures("server")
def test_nothing_there_and_no_bucket(roots: dict[str, Path]) -> None:
    spec = job(remote(clip_spec()))
    assert errors(check(spec.dataset, spec.holdout, roots)) == [("source.not_found", "#/dataset/source/uri")]
    other = {**roots, "gs://no-such-bucket": roots[PREFIX].parents[1] / "no-such-bucket"}
    spec = job(clip_spec(source={"type": "manifest", "uri": "gs://no-such-bucket/a.csv"}))
    assert errors(check(spec.dataset, spec.holdout, other)) == [("source.not_found", "#/dataset/source/uri")]
