"""Downloads: verified, resumed, moved into place in one step, and never outside of where they belong."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from gblend_client import Gblend, IntegrityError, InvalidInput, ServerError
from gblend_client._files import PartFile, target

from tests.unit.client.service import JOB_ID, Reply, Service, problem

MODEL = bytes(range(256)) * 3000
FILE = f"GET /v1/jobs/{JOB_ID}/artifacts/model.safetensors"
LIST = f"GET /v1/jobs/{JOB_ID}/artifacts"


@pytest.fixture(autouse=True)
def _files(service: Service) -> None:
    service.files = {"model.safetensors": MODEL, "history/metrics.json": b"{}", "empty.txt": b""}


def part_of(folder: Path) -> Path:
    return folder / f".model.safetensors.{hashlib.sha256(MODEL).hexdigest()[:16]}.part"


def listed(name: str, content: bytes = b"x", **more: Any) -> Reply:
    row = {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), **more}
    return Reply(200, {"data": [row], "has_more": False, "next_after": None})


def test_everything_arrives_whole(jobs: Any, service: Service, tmp_path: Path) -> None:
    paths = jobs.download(JOB_ID, tmp_path / "out")
    assert [str(path.relative_to(tmp_path / "out")) for path in paths] == [
        "model.safetensors",
        "history/metrics.json",
        "empty.txt",
    ]
    assert [path.read_bytes() for path in paths] == [MODEL, b"{}", b""]
    left = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert left == ["empty.txt", "metrics.json", "model.safetensors"]
    assert service.seen(FILE)[0].headers["accept-encoding"] == "identity"


def test_only_what_is_named(jobs: Any, service: Service, tmp_path: Path) -> None:
    assert jobs.download(JOB_ID, str(tmp_path), ["empty.txt", "empty.txt"]) == (tmp_path / "empty.txt",)
    with pytest.raises(InvalidInput, match="no artifact 'modle', 'x'") as caught:
        jobs.download(JOB_ID, tmp_path, ["modle", "x", "empty.txt"])
    assert "model.safetensors" in str(caught.value.hint)


def test_what_is_there_is_not_fetched_again(jobs: Any, service: Service, tmp_path: Path) -> None:
    jobs.download(JOB_ID, tmp_path)
    (tmp_path / "history/metrics.json").write_bytes(b"[]")  # same size, other content
    asked = len(service.requests)
    jobs.download(JOB_ID, tmp_path)
    assert [request.path.rsplit("/", 1)[-1] for request in service.requests[asked:]] == [
        "artifacts",
        "artifacts",
        "metrics.json",
    ]
    assert (tmp_path / "history/metrics.json").read_bytes() == b"{}"


def test_a_broken_download_goes_on_where_it_was(jobs: Any, service: Service, tmp_path: Path) -> None:
    service.cuts = [0, 1, 300_000, 0, 1]
    (path,) = jobs.download(JOB_ID, tmp_path, ["model.safetensors"])
    assert path.read_bytes() == MODEL
    ranges = [request.headers.get("range") for request in service.seen(FILE)]
    assert ranges == [None, None, "bytes=1-", "bytes=300001-", "bytes=300001-", "bytes=300002-"]


def test_another_process_goes_on_where_the_first_was(jobs: Any, service: Service, tmp_path: Path) -> None:
    part_of(tmp_path).write_bytes(MODEL[:1000])
    (path,) = jobs.download(JOB_ID, tmp_path, ["model.safetensors"])
    assert path.read_bytes() == MODEL
    assert [request.headers.get("range") for request in service.seen(FILE)] == ["bytes=1000-"]


@pytest.mark.parametrize("left", [b"wrong" * 100, MODEL + b"too much", b"\0" * len(MODEL)])
def test_a_bad_beginning_is_thrown_away(jobs: Any, service: Service, tmp_path: Path, left: bytes) -> None:
    part_of(tmp_path).write_bytes(left)
    (path,) = jobs.download(JOB_ID, tmp_path, ["model.safetensors"])
    assert path.read_bytes() == MODEL


def test_a_service_that_ignores_ranges(jobs: Any, service: Service, tmp_path: Path) -> None:
    service.script(FILE, Reply(200, MODEL, cut=500), Reply(200, MODEL))
    (path,) = jobs.download(JOB_ID, tmp_path, ["model.safetensors"])
    assert path.read_bytes() == MODEL


def test_a_service_that_sends_another_range(jobs: Any, service: Service, tmp_path: Path) -> None:
    wrong = Reply(206, MODEL, {"content-range": f"bytes 0-{len(MODEL) - 1}/{len(MODEL)}"})
    service.script(FILE, Reply(200, MODEL, cut=500), wrong)
    with pytest.raises(IntegrityError, match="another range"):
        jobs.download(JOB_ID, tmp_path, ["model.safetensors"])


def test_a_range_that_cannot_be_had_starts_over(jobs: Any, service: Service, tmp_path: Path) -> None:
    service.script(FILE, Reply(200, MODEL, cut=500), problem(416, "range"))
    (path,) = jobs.download(JOB_ID, tmp_path, ["model.safetensors"])
    assert path.read_bytes() == MODEL
    assert [request.headers.get("range") for request in service.seen(FILE)] == [None, "bytes=500-", None]


def test_other_content_than_announced_leaves_nothing(jobs: Any, service: Service, tmp_path: Path) -> None:
    service.script(FILE, Reply(200, b"y" * len(MODEL)))
    with pytest.raises(IntegrityError, match="does not have the sha256"):
        jobs.download(JOB_ID, tmp_path, ["model.safetensors"])
    assert list(tmp_path.iterdir()) == []


def test_more_than_announced_is_refused(jobs: Any, service: Service, tmp_path: Path) -> None:
    service.script(FILE, Reply(200, MODEL + b"!"))
    with pytest.raises(IntegrityError, match="more than the 768000 bytes"):
        jobs.download(JOB_ID, tmp_path, ["model.safetensors"])
    assert not (tmp_path / "model.safetensors").exists()


def test_a_service_that_stays_broken_is_an_error_and_the_part_stays(service: Service, tmp_path: Path) -> None:
    service.script(FILE, Reply(200, MODEL, cut=500), *[problem(500, "internal")] * 10)
    with Gblend(service.url, backoff=0.001) as client, pytest.raises(ServerError):
        client.jobs.download(JOB_ID, tmp_path, ["model.safetensors"])
    assert part_of(tmp_path).read_bytes() == MODEL[:500]


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/x",
        "a/../../x",
        "..",
        ".",
        "",
        "a//b",
        "a/",
        "a\\..\\x",
        "c:x",
        "a\0b",
        "a\nb",
        "nul",
        "COM1.txt",
        "a.",
        "a ",
    ],
)
def test_a_name_that_would_leave_the_folder_is_refused(jobs: Any, service: Service, tmp_path: Path, name: str) -> None:
    dest = tmp_path / "in" / "dest"
    service.script(LIST, listed(name))
    with pytest.raises(IntegrityError, match="no safe file name"):
        jobs.download(JOB_ID, dest)
    assert not dest.exists()
    assert len(service.requests) == 1


@pytest.mark.parametrize("name", ["console.txt", "a b", ".hidden", "größe.json", "v1..2/x", "com10"])
def test_ordinary_names(tmp_path: Path, name: str) -> None:
    assert target(tmp_path, name) == tmp_path / name


def test_a_link_that_leads_out_is_refused(jobs: Any, service: Service, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "history").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="symbolic link"):
        jobs.download(JOB_ID, tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_at_the_target_or_the_part_is_not_written_through(jobs: Any, service: Service, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / "model.safetensors").symlink_to(victim)
    jobs.download(JOB_ID, out, ["model.safetensors"])
    assert not (out / "model.safetensors").is_symlink()
    (out / "model.safetensors").unlink()
    part_of(out).symlink_to(victim)
    with pytest.raises(InvalidInput, match="cannot write"):
        jobs.download(JOB_ID, out, ["model.safetensors"])
    assert victim.read_text() == "mine"


def test_a_place_that_cannot_be_written(jobs: Any, service: Service, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match=r"cannot write .*file"):
        jobs.download(JOB_ID, tmp_path / "file", ["empty.txt"])


@pytest.mark.parametrize("href", ["http://evil.example/x", "//evil.example/x", "v1/x"])
def test_the_key_goes_nowhere_else(jobs: Any, service: Service, tmp_path: Path, href: str) -> None:
    service.script(LIST, listed("a.txt", href=href))
    with pytest.raises(IntegrityError, match="another host"):
        jobs.download(JOB_ID, tmp_path)


def test_a_listing_without_a_digest_is_refused(tmp_path: Path) -> None:
    for sha256, size in [("", 1), ("AB" * 32, 1), ("../x", 1), ("ab" * 32, -1)]:
        with pytest.raises(IntegrityError, match="no usable size and sha256"):
            PartFile(tmp_path / "a", size=size, sha256=sha256)
