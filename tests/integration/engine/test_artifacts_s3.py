"""Artifacts on an object store: a real S3 protocol over real HTTP."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.artifacts import ArtifactStore, public_text
from core.errors import ArtifactError, NotFoundError
from tests.s3_server import S3_KEY, S3_SECRET, S3Server


@pytest.fixture
def store(s3_server: S3Server) -> ArtifactStore:
    """Artifacts in a bucket."""
    return ArtifactStore(f"s3://{s3_server.BUCKET}/some/prefix")


def _file(folder: Path, content: bytes) -> tuple[Path, str]:
    path = folder / "source.bin"
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("size", [0, 100, 20 << 20])
def test_a_file_goes_and_comes_back(store: ArtifactStore, s3_server: S3Server, tmp_path: Path, size: int) -> None:
    """Empty, in one request, and in parts."""
    content = os.urandom(size)
    source, digest = _file(tmp_path, content)
    key = store.put(source, "jobs/job_1/1/model.bin", size=size, sha256=digest)
    assert key == "jobs/job_1/1/model.bin"
    assert s3_server.stored() == ["some/prefix/jobs/job_1/1/model.bin"]
    with store.open(key) as stored:
        assert stored.read() == content
        stored.seek(size // 2)
        assert stored.read(10) == content[size // 2 : size // 2 + 10]
    store.get(key, tmp_path / "back", size=size, sha256=digest)
    assert (tmp_path / "back").read_bytes() == content


def test_folders_are_prefixes_that_do_not_mix(store: ArtifactStore, s3_server: S3Server, tmp_path: Path) -> None:
    source, digest = _file(tmp_path, b"x")
    for key in ("jobs/job_1/1/a", "jobs/job_1/1/deep/b", "jobs/job_1/10/a", "jobs/job_11/1/a"):
        store.put(source, key, size=1, sha256=digest)
    assert store.children("jobs/job_1") == ("1", "10")
    assert store.children("jobs/job_1/1") == ("a", "deep")
    store.delete_below("jobs/job_1/1")
    store.delete_below("jobs/job_1/1")
    assert store.children("jobs/job_1/1") == ()
    assert store.children("jobs") == ("job_1", "job_11")
    with pytest.raises(NotFoundError, match=r"artifact\.not_found"):
        store.open("jobs/job_1/1/a")
    assert [key.removeprefix("some/prefix/") for key in s3_server.stored()] == ["jobs/job_1/10/a", "jobs/job_11/1/a"]


@pytest.mark.parametrize("size", [100, 20 << 20])
def test_what_is_not_as_announced_leaves_nothing(
    store: ArtifactStore, s3_server: S3Server, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No object, no parts; what was there before stays; and no file is left for the garbage collector to upload."""
    opened: list[Any] = []
    real_open = store._filesystem.open

    def noting_open(*arguments: Any, **named: Any) -> Any:
        opened.append(real_open(*arguments, **named))
        return opened[-1]

    monkeypatch.setattr(store._filesystem, "open", noting_open)
    before, digest = _file(tmp_path, b"before")
    store.put(before, "jobs/job_1/1/kept.bin", size=6, sha256=digest)
    source, digest = _file(tmp_path, os.urandom(size))
    for announced in ((size - 1, digest), (size, "0" * 64)):
        for name in ("kept.bin", "new.bin"):
            with pytest.raises(ArtifactError, match=r"artifact\.mismatch"):
                store.put(source, f"jobs/job_1/1/{name}", size=announced[0], sha256=announced[1])
    assert [writer.closed for writer in opened] == [True] * 5
    assert s3_server.stored() == ["some/prefix/jobs/job_1/1/kept.bin"]
    assert s3_server.begun() == []
    with store.open("jobs/job_1/1/kept.bin") as stored:
        assert stored.read() == b"before"


def test_a_file_that_changed_in_the_store_is_not_taken(
    store: ArtifactStore, s3_server: S3Server, tmp_path: Path
) -> None:
    source, digest = _file(tmp_path, b"right")
    key = store.put(source, "jobs/job_1/1/a", size=5, sha256=digest)
    for body in (b"wrong", b"righ", b"right and more"):
        s3_server.client().put_object(Bucket=s3_server.BUCKET, Key=f"some/prefix/{key}", Body=body)
        with pytest.raises(ArtifactError, match=r"artifact\.mismatch"):
            store.get(key, tmp_path / "back", size=5, sha256=digest)
        assert not (tmp_path / "back").exists()
    store.delete_below("jobs")
    with pytest.raises(NotFoundError):
        store.get(key, tmp_path / "back", size=5, sha256=digest)


def test_a_store_that_goes_away_in_the_middle(
    store: ArtifactStore, s3_server: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A clear error without secrets, nothing under the key, and all is well when it is back."""
    size = 20 << 20
    source, digest = _file(tmp_path, os.urandom(size))
    chunks: list[int] = []

    def stop_after_some() -> None:
        chunks.append(1)
        if len(chunks) == 10:
            s3_server.stop()

    try:
        with pytest.raises(ArtifactError, match="could not be stored") as caught:
            store.put(source, "jobs/job_1/1/model.bin", size=size, sha256=digest, on_chunk=stop_after_some)
        assert len(chunks) >= 10
        logged = "".join(logging.Formatter().format(record) for record in caplog.records)
        assert S3_SECRET not in f"{caught.value}{logged}"
        assert S3_KEY not in f"{caught.value}{logged}"
    finally:
        s3_server.start()
    assert s3_server.stored() == []
    store.put(source, "jobs/job_1/1/model.bin", size=size, sha256=digest)
    assert store.children("jobs/job_1/1") == ("model.bin",)


def test_error_texts_name_no_secret() -> None:
    error = OSError("sftp://me:hidden-word@host/x refused the-secret-key of the-access-key")
    environment = {"AWS_SECRET_ACCESS_KEY": "the-secret-key", "AWS_ACCESS_KEY_ID": "the-access-key", "HOME": "refused"}
    assert public_text(error, environment) == "OSError: sftp://***@host/x refused *** of ***"


_WITHOUT_S3FS = """
import sys
sys.modules["s3fs"] = None  # as if it were not installed
from core.artifacts import ArtifactStore
from core.errors import ArtifactError
try:
    ArtifactStore("s3://bucket/prefix")
except ArtifactError as error:
    print(error.code, "|", error.detail, "|", error.hint)
"""

_LOCAL = """
import sys, tempfile, threading, pathlib
from core.artifacts import ArtifactStore
assert ArtifactStore(pathlib.Path(tempfile.gettempdir()).as_uri()).children("no/such") == ()
print(sorted(sys.modules.keys() & {"s3fs", "botocore", "aiobotocore", "aiohttp"}), threading.active_count())
"""


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (
            _WITHOUT_S3FS,
            "artifact.backend | no package is installed here that speaks s3:// | pip install 'gblend[s3]'",
        ),
        (_LOCAL, "[] 1"),
    ],
)
def test_s3_costs_nothing_where_it_is_not_used_and_names_its_extra_where_it_is_missing(program: str, said: str) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == (said, 0), done.stderr
