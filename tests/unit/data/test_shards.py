"""WebDataset shards: grouping, columns, patterns, splits; and everything that a hostile tar can do."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data.dataset import PreparedData, prepare
from core.data.inspection import InspectionLimits, inspect
from core.data.sources import Limits, Source, open_source
from core.data.sources.shards import _braces
from core.data.sources.spans import SpanBlob
from core.data.sources.tar import members
from core.data.validation import CheckLimits, check
from core.errors import DataError, GblendError, Issue
from core.spec.data import WebDatasetSource
from tests.unit.data.builders import RATE, errors, grey, job, only, tone, wav

Roots = dict[str, Path]
EVERYTHING = ("__key__", "png", "cls", "txt", "npy", "age", "who", "tags", "pkl", "left.png")


def tar(path: Path, files: Mapping[str, bytes | str], **how: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **how) as archive:
        for name, content in files.items():
            raw = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def samples(first: int, n: int) -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = {}
    for index in range(first, first + n):
        files[f"{index:04d}.png"] = grey(20 * (index % 2) + index)
        files[f"{index:04d}.wav"] = wav(tone(400.0 + 300 * (index % 2), 0.05))
        files[f"{index:04d}.cls"] = str(index % 2)
        files[f"{index:04d}.json"] = json.dumps({"who": f"w{index // 2 % 6}", "age": index})
    return files


def shard_spec(uri: str = "data://t-{0..1}.tar", **changes: Any) -> dict[str, Any]:
    return {
        "source": {"type": "webdataset", "uri": uri},
        "target": {"column": "cls"},
        "modalities": [
            {"name": "seen", "type": "image", "column": "png"},
            {"name": "heard", "type": "audio", "column": "wav", "preprocess": {"sample_rate": RATE, "mels": 16}},
        ],
        **changes,
    }


def opened(roots: Roots, uri: str = "data://t.tar", limits: Limits | None = None) -> Source:
    return open_source(WebDatasetSource(uri=uri), roots, wanted=EVERYTHING, limits=limits)


def refused(roots: Roots, uri: str = "data://t.tar", limits: Limits | None = None) -> Issue:
    with pytest.raises(GblendError) as raised:
        opened(roots, uri, limits).read(EVERYTHING)
    (issue,) = raised.value.issues
    assert str(roots["data"]) not in issue.detail
    return issue


def both_tiers(roots: Roots, dataset: dict[str, Any]) -> PreparedData:
    spec = job(dataset)
    assert errors(check(spec.dataset, spec.holdout, roots)) == []
    return prepare(spec, roots)


# what shards hold


def test_two_shards_through_both_tiers(roots: Roots) -> None:
    tar(roots["data"] / "t-0.tar", samples(0, 12))
    tar(roots["data"] / "t-1.tar", samples(12, 12))
    before = sorted(path.name for path in roots["data"].iterdir())
    data = both_tiers(roots, shard_spec(split={"method": "draw", "group_by": ["who"]}))
    assert data.targets.tolist() == [0, 1] * 12
    assert data.sample_ids[11:13] == ("0011", "0012")
    assert sorted(path.name for path in roots["data"].iterdir()) == before  # nothing was extracted
    alone = both_tiers(roots, shard_spec(split={"method": "draw", "seed": 1}))
    assert alone.batch(np.array([3]))["seen"].shape == (1, 1, 4, 4)


def test_columns(roots: Roots) -> None:
    files = {
        "./a/1.JPG": b"x",
        "a/1.left.png": b"y",
        "a/1.cls": "0\n",
        "a/1.json": '{"age": 3, "tags": ["u", "v"], "other": {"deep": 1}}',
        "a/1.pkl": b"cos\nsystem\n",
        "2.txt": "é",
        "2.npy": npy(np.arange(3.0)),
        "._2.txt": "a file of macOS",
        "README": "no extension",
    }
    tar(roots["data"] / "t.tar", files)
    source = opened(roots)
    kinds = {name: header.kind for name, header in source.headers.items()}
    assert kinds == {
        "__key__": "text", "jpg": "file", "left.png": "file", "cls": "text", "pkl": "unsupported", "txt": "text",
        "npy": "array", "age": "number", "tags": "texts", "other": "text",
    }  # fmt: skip
    table = source.read([*EVERYTHING, "other"])
    assert table.columns["__key__"].text() == ["a/1", "2"]
    assert table.columns["cls"].text() == ["0", ""]
    assert table.columns["txt"].text() == ["", "é"]
    assert table.columns["age"].text() == ["3", ""]
    assert table.columns["npy"].values[1].tolist() == [0.0, 1.0, 2.0]
    assert table.columns["left.png"].missing.tolist() == [False, True]
    assert "pkl" not in table.columns


def test_arrays_train(roots: Roots) -> None:
    files: dict[str, bytes | str] = {}
    for i in range(20):
        files |= {f"{i}.npy": npy(np.full(4, i, np.float32)), f"{i}.png": grey(i), f"{i}.cls": "ab"[i % 2]}
    tar(roots["data"] / "t.tar", files)
    spec = shard_spec("data://t.tar", split={"method": "draw"})
    spec["modalities"][1] = {"name": "vector", "type": "embedding", "column": "npy"}
    assert both_tiers(roots, spec).modalities["vector"].shape == (4,)


def test_a_blob_is_a_file_of_its_own(tmp_path: Path) -> None:
    tar(tmp_path / "t.tar", {"1.a": b"0123456789", "1.b": b"next"})
    blob = dict(members(tmp_path / "t.tar", Limits()))["1.a"]
    assert blob.size() == 10
    with blob.open() as file:
        assert file.read(4) == b"0123"
        assert file.seek(-2, io.SEEK_END) == 8
        assert file.read() == b"89"
        assert file.read() == b""
        assert file.seek(2) == 2
        assert file.read(3) == b"234"
        with pytest.raises(OSError, match="first byte"):
            file.seek(-11, io.SEEK_END)


@pytest.mark.parametrize("how", [{"format": tarfile.PAX_FORMAT}, {"format": tarfile.GNU_FORMAT}])
def test_long_names_and_large_headers(tmp_path: Path, how: dict[str, Any]) -> None:
    name = "d" * 150 + "/" + "k" * 150 + "é.txt"
    tar(tmp_path / "t.tar", {name: "x", "2.txt": "y"}, **how)
    assert [(name, blob.size()) for name, blob in members(tmp_path / "t.tar", Limits())] == [(name, 1), ("2.txt", 1)]


def test_against_the_tar_of_the_standard_library(tmp_path: Path) -> None:
    files = {f"{i}.bin": bytes([i]) * (i * 97) for i in range(30)}
    tar(tmp_path / "t.tar", files)
    read = {name: blob.open().read() for name, blob in members(tmp_path / "t.tar", Limits())}
    assert read == files


# which shards


def test_braces() -> None:
    assert _braces("a-{08..11}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]
    assert _braces("{a,b}{0..1}") == ["a0", "a1", "b0", "b1"]
    assert _braces("plain.tar") == ["plain.tar"]
    for text in ("{0..99999}", "{0..999}{0..999}", "{5..1}"):
        with pytest.raises(DataError):
            _braces(text)


@pytest.mark.parametrize(
    "uri", ["data://s", "data://s/*.tar", "data://s/t-?.tar", "data://s/t-{0..2}.tar", "data://{s}/t-{0,1,2}.tar"]
)
def test_patterns(roots: Roots, uri: str) -> None:
    for number in range(3):
        tar(roots["data"] / "s" / f"t-{number}.tar", {f"{number}.cls": "x"})
    (roots["data"] / "s" / "list.txt").write_text("no shard")
    assert opened(roots, uri).read(["__key__"]).columns["__key__"].text() == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("data://t-{0..3}.tar", "source.not_found"),
        ("data://*.tar", "source.not_found"),
        ("data://../{a,b}.tar", "source.forbidden"),
        ("data://../*.tar", "source.forbidden"),
        ("data:///etc/{passwd,group}", "source.forbidden"),
        ("data://{..}/x.tar", "source.forbidden"),
        ("s3://bucket/{0..1}.tar", "source.forbidden"),
        ("t-{0..1}.tar", "source.forbidden"),
        ("data://*/t.tar", "source.format"),
        ("data://{0..99999}.tar", "source.too_large"),
    ],
)
def test_patterns_that_are_refused(roots: Roots, uri: str, code: str) -> None:
    tar(roots["data"] / "t-0.tar", {"1.cls": "x"})
    (roots["data"] / "t-0.tar").rename(roots["data"] / "t-0.shard")
    issue = refused(roots, uri)
    assert (issue.code, issue.pointer) == (code, "#/dataset/source/uri")


def test_a_shard_that_is_a_link_out(roots: Roots, tmp_path: Path) -> None:
    tar(tmp_path / "out.tar", {"1.cls": "x"})
    answers = set()
    for target in ("out.tar", "none.tar"):
        (roots["data"] / "t.tar").symlink_to(tmp_path / target)
        answers |= {refused(roots, uri).code for uri in ("data://t.tar", "data://*.tar", "data://")}
        (roots["data"] / "t.tar").unlink()
    assert answers == {"source.forbidden"}


# splits


def test_a_pattern_per_part(roots: Roots) -> None:
    for name, first, n in (("train-0", 0, 8), ("train-1", 8, 8), ("test-0", 0, 8)):
        tar(roots["data"] / "s" / f"{name}.tar", samples(first, n))
    split = {"method": "files", "train": "train-{0..1}.tar", "test": "test-*.tar"}
    data = both_tiers(roots, shard_spec("data://s", split=split))
    assert len(data.split.test) == 8
    assert data.sample_ids[-1] == "test/0007"
    spec = job(shard_spec("data://s", split=split, sample_id="__key__"))
    assert errors(check(spec.dataset, spec.holdout, roots)) == [("split.leak", "#/dataset/sample_id")]
    spec = job(shard_spec("data://s", split={**split, "test": "t*-0.tar"}))
    assert errors(check(spec.dataset, spec.holdout, roots)) == [("split.leak", "#/dataset/split/test")]


def test_the_fingerprint_covers_every_shard(roots: Roots) -> None:
    tar(roots["data"] / "t-0.tar", samples(0, 12))
    tar(roots["data"] / "t-1.tar", samples(12, 12))
    first = opened(roots, "data://t-*.tar").digest()
    with (roots["data"] / "t-1.tar").open("ab") as file:
        file.write(bytes(512))
    assert opened(roots, "data://t-*.tar").digest() != first


def test_a_key_on_two_rows(roots: Roots) -> None:
    tar(roots["data"] / "t-0.tar", samples(0, 12))
    tar(roots["data"] / "t-1.tar", samples(11, 12))
    spec = job(shard_spec())
    issue = only(check(spec.dataset, spec.holdout, roots), "sample_id.duplicate")
    assert (issue.pointer, issue.examples) == ("#/dataset/source/uri", ("0011",))


@pytest.mark.parametrize(
    "magic",
    [gzip.compress(b"x", mtime=0), b"BZh91AY", b"\xfd7zXZ\x00\x00", b"\x28\xb5\x2f\xfd0000"],
    ids=["gzip", "bzip2", "xz", "zstd"],
)
def test_compressed_shards(roots: Roots, magic: bytes) -> None:
    (roots["data"] / "t.tar").write_bytes(magic)
    issue = refused(roots)
    assert (issue.code, issue.pointer) == ("source.format", "#/dataset/source/uri")
    assert issue.hint is not None
    assert "decompress" in issue.hint


def test_more_members_than_are_read(roots: Roots) -> None:
    tar(roots["data"] / "t.tar", {f"{i}.cls": "x" for i in range(8)})
    assert refused(roots, limits=Limits(files=7)).code == "source.too_large"
    assert opened(roots, limits=Limits(files=8)).rows == 8


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"1.json": "["}, "source.malformed"),
        ({"1.json": "[1]"}, "source.malformed"),
        ({"1.json": "[" * 100_000}, "source.malformed"),
        ({"1.json": b"\xff"}, "source.malformed"),
        ({"1.json": '{"age": 1}', "2.json": '{"age": "x"}'}, "source.malformed"),
        ({"1.json": '{"png": 1}', "1.png": b"x"}, "source.malformed"),
        ({"1.txt": b"\xff\xfe"}, "source.malformed"),
        ({"1.txt": "x" * (2**20 + 1)}, "source.too_large"),
        ({"1.npy": npy(np.array([{}], dtype=object))}, "source.object_array"),
        ({"1.npy": npy(np.zeros(4))[:-8]}, "source.malformed"),
        ({"1.npy": npy(np.array(["text"]))}, "source.malformed"),
        ({"1.npy": b"\x93NUMPY"}, "source.malformed"),
    ],
)
def test_members_that_cannot_be_read(roots: Roots, files: dict[str, bytes | str], code: str) -> None:
    tar(roots["data"] / "t.tar", files)
    assert refused(roots).code == code


def test_a_pickle_is_named_and_not_loaded(roots: Roots) -> None:
    tar(roots["data"] / "t.tar", {"1.pkl": b"cos\nsystem\n", "1.cls": "a", "1.png": b"x"})
    spec = shard_spec("data://t.tar")
    spec["modalities"][0]["column"] = "pkl"
    spec["modalities"][1]["column"] = "png"
    issue = only(check(job(spec).dataset, job(spec).holdout, roots), "value.dtype")
    assert issue.detail.startswith("the column 'pkl' is pkl (never unpickled)")


@settings(
    deadline=None, max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    places=st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 6000),
)
def test_damaged_bytes_never_raise_anything_else(places: list[tuple[int, int]], cut: int, roots: Roots) -> None:
    path = roots["data"] / "t.tar"
    tar(path, {"1.png": b"x" * 600, "1.json": '{"age": 1}', "é" * 80 + ".txt": "y", "3.npy": npy(np.arange(3))})
    raw = bytearray(path.read_bytes())
    for place, value in places:
        raw[place % len(raw)] = value
    path.write_bytes(raw[: len(raw) - cut] if cut < len(raw) // 2 else raw)
    try:
        source = opened(roots)
        table = source.read(EVERYTHING)
    except DataError as error:
        (issue,) = error.issues
        assert issue.severity == "error"
    else:
        assert all(len(column.values) == source.rows for column in table.columns.values())


def test_a_blob_of_a_shard_that_shrank(tmp_path: Path) -> None:
    (tmp_path / "t.tar").write_bytes(b"abc")
    assert SpanBlob(tmp_path / "t.tar", 1, 10).open().read() == b"bc"


# time


def late() -> Limits:
    """The time is over already."""
    return Limits(deadline=time.monotonic() - 1)


def test_headers_are_read_for_as_long_as_a_request_may_take(roots: Roots) -> None:
    """A data set on a slow disk is no wrong one: the request warns, and the job reads on."""
    tar(roots["data"] / "t.tar", {f"{i}.cls": "ab"[i % 2] for i in range(600)})
    issue = refused(roots, limits=late())
    assert (issue.code, issue.severity) == ("source.not_checked", "warning")
    assert opened(roots).rows == 600
    spec = job(shard_spec("data://t.tar"))
    assert [issue.code for issue in check(spec.dataset, spec.holdout, roots, limits=CheckLimits(seconds=-1))] == [
        "source.not_checked"
    ]
    found = inspect(spec.dataset, spec.holdout, roots, limits=InspectionLimits(check=CheckLimits(seconds=-1)))
    assert [(issue.code, issue.severity) for issue in found.issues] == [("source.not_checked", "error")]
    assert not found.is_valid, "there are no statistics to register"


def test_texts_are_read_for_as_long(roots: Roots) -> None:
    tar(roots["data"] / "t.tar", {"1.json": "{}"})
    assert refused(roots, limits=late()).code == "source.not_checked"


def test_many_headers_of_nothing(roots: Roots) -> None:
    with tarfile.open(roots["data"] / "t.tar", "w") as file:
        for number in range(50):
            info = tarfile.TarInfo(f"folder {number}")
            info.type = tarfile.DIRTYPE
            file.addfile(info)
    assert refused(roots, limits=Limits(files=12)).code == "source.too_large"
    assert refused(roots, limits=Limits(files=13)).code == "source.empty"


def test_json_arrays_are_read_when_they_are_asked_for(roots: Roots) -> None:
    files = {f"{i}.{name}": text for i in range(3) for name, text in (("cls", "a"), ("json", f'{{"v": [{i}, 0.5]}}'))}
    tar(roots["data"] / "t.tar", {**files, "9.cls": "b"})
    source = open_source(WebDatasetSource(uri="data://t.tar"), roots, wanted=["v", "cls"])
    assert source.costly == {"v"}
    column = source.read(["v"]).columns["v"]
    assert column.values[:3].tolist() == [[0.0, 0.5], [1.0, 0.5], [2.0, 0.5]]
    assert column.missing.tolist() == [False, False, False, True]


def test_a_shard_that_goes_away_while_it_is_read(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    tar(roots["data"] / "t.tar", samples(0, 24))

    def opened_and_gone(*arguments: Any, **options: Any) -> Source:
        source = open_source(*arguments, **options)
        (roots["data"] / "t.tar").unlink()
        return source

    monkeypatch.setattr("core.data.survey.open_source", opened_and_gone)
    spec = job(shard_spec("data://t.tar"))
    issue = only(check(spec.dataset, spec.holdout, roots), "source.unreadable")
    assert (issue.pointer, issue.severity) == ("#/dataset/source/uri", "error")
    assert str(roots["data"]) not in issue.detail
