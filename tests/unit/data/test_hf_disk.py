"""Saved Hugging Face data sets: what their columns mean, and what is wrong with those that cannot be read."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from core.data.blobs import BytesBlob
from core.data.dataset import prepare
from core.data.sources import Limits, Source, open_source
from core.data.sources.spans import SpanBlob
from core.data.validation import check
from core.errors import GblendError, Issue
from core.spec.data import HfDiskSource
from tests.unit.data.builders import RATE, errors, grey, job, only, tone, wav
from tests.unit.data.saved import IMAGE, label, listed, save_dict, save_to_disk, value

Roots = dict[str, Path]
EVERYTHING = ("a", "b", "label", "labels", "image", "v", "text")


def opened(roots: Roots, limits: Limits | None = None) -> Source:
    return open_source(HfDiskSource(uri="data://set"), roots, wanted=EVERYTHING, limits=limits)


def refused(roots: Roots, limits: Limits | None = None) -> Issue:
    with pytest.raises(GblendError) as raised:
        opened(roots, limits).read(EVERYTHING)
    (issue,) = raised.value.issues
    assert str(roots["data"]) not in issue.detail
    return issue


def save(roots: Roots, columns: dict[str, Any], features: dict[str, Any] | None = None, **options: Any) -> None:
    features = features or {name: value("string") for name in columns}
    save_to_disk(roots["data"] / "set", pa.table(columns), features, **options)


def change(roots: Roots, name: str, **fields: Any) -> None:
    path = roots["data"] / "set" / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


# what is read


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("batch", [2, 1000])
def test_columns_of_every_kind(roots: Roots, shards: int, batch: int) -> None:
    columns = {
        "a": pa.array(list(range(7))),
        "b": pa.array([True, None] * 3 + [False]),
        "text": [f"text {row}" for row in range(7)],
        "v": pa.array([[row, 0.5] for row in range(7)], pa.list_(pa.float32())),
        "label": pa.array([0, 1, 1, None, -1, 0, 1]),
        "other": list(range(7)),
    }
    save(roots, columns, {"label": label("cat", "dog")}, shards=shards, batch=batch)
    source = opened(roots)
    assert (source.rows, source.costly, len(source.files)) == (7, {"v"}, shards)
    assert (source.headers["label"].kind, source.headers["label"].dtype) == ("text", "ClassLabel int64")
    read = source.read(EVERYTHING)
    assert sorted(read.columns) == ["a", "b", "label", "text", "v"]
    assert read.columns["a"].values.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert read.columns["b"].text() == ["true", "", "true", "", "true", "", "false"]
    assert read.columns["text"].text()[6] == "text 6"
    assert read.columns["v"].values[[0, 6]].tolist() == [[0.0, 0.5], [6.0, 0.5]]
    assert read.columns["label"].text() == ["cat", "dog", "dog", "", "", "cat", "dog"]
    assert read.columns["label"].missing.tolist() == [False, False, False, True, True, False, False]


@pytest.mark.parametrize(
    "feature",
    [listed(label("dog", "rain")), [label("dog", "rain")], {"feature": label("dog", "rain"), "_type": "Sequence"}],
    ids=["4.x", "as a list", "before 4.0"],
)
def test_lists_of_class_labels_are_lists_of_names(roots: Roots, feature: Any) -> None:
    save(roots, {"labels": pa.array([[0, 1], [], None, [1], [1, None, -1]])}, {"labels": feature}, batch=2)
    source = opened(roots)
    assert source.headers["labels"].kind == "texts"
    column = source.read(["labels"]).columns["labels"]
    assert column.values.tolist() == [("dog", "rain"), (), (), ("rain",), ("rain",)]
    assert column.missing.tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("kind", [IMAGE, pa.binary(), pa.large_binary()])
def test_files_are_read_where_they_lie(roots: Roots, kind: pa.DataType) -> None:
    """Of any size together: none of them is read when the column is."""
    contents = [b"one", None, b"", b"four" * 1000]
    cells = contents if kind != IMAGE else [{"bytes": content, "path": "a.png"} for content in contents[:1]] + [
        None, *({"bytes": content, "path": None} for content in contents[2:])]  # fmt: skip
    save(roots, {"image": pa.array(cells, kind)}, {"image": {"_type": "Image"}}, batch=3)
    source = opened(roots, Limits(array_bytes=1))
    assert source.costly == {"image"}
    found = source.read(["image"]).columns["image"].cells()
    assert [blob if isinstance(blob, str) else blob.open().read() for blob in found] == [
        b"one",
        "",
        b"",
        b"four" * 1000,
    ]
    assert {type(blob) for blob in found} == {str, SpanBlob}
    assert isinstance(found[3], SpanBlob)
    raw = (roots["data"] / "set" / "data-00000-of-00001.arrow").read_bytes()
    assert raw[found[3].offset : found[3].offset + found[3].length] == b"four" * 1000


def test_a_path_counts_where_there_are_no_bytes(roots: Roots) -> None:
    cells = [{"bytes": None, "path": "x/1.png"}, {"bytes": None, "path": " "}, {"bytes": b"", "path": "2.png"}]
    save(roots, {"image": pa.array(cells, IMAGE)})
    cells = opened(roots).read(["image"]).columns["image"].cells()
    assert cells[:2] == ["x/1.png", ""]


def test_files_that_are_coded_by_a_dictionary(roots: Roots) -> None:
    save(roots, {"image": pa.array([b"one", b"two", b"one"]).dictionary_encode()})
    cells = opened(roots).read(["image"]).columns["image"].cells()
    assert cells == [BytesBlob(b"one"), BytesBlob(b"two"), BytesBlob(b"one")]


def test_texts_coded_by_a_dictionary(roots: Roots) -> None:
    save(roots, {"text": pa.array(["x", "y", None, "x"]).dictionary_encode()}, batch=2)
    assert opened(roots).read(["text"]).columns["text"].text() == ["x", "y", "", "x"]


def test_nothing_is_read_of_columns_that_nobody_wants(roots: Roots) -> None:
    """The bytes of another column may be damaged: they are not even looked at."""
    save(roots, {"a": pa.array([1, 2]), "text": ["good", "bad!"]})
    path = roots["data"] / "set" / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes().replace(b"goodbad!", b"good\xff\xff\xff\xff"))
    assert opened(roots).read(["a"]).columns["a"].values.tolist() == [1, 2]
    assert refused(roots).code == "source.malformed"


# both tiers


def rows_of(n: int = 48) -> tuple[pa.Table, dict[str, Any]]:
    numbers = range(n)
    images = [{"bytes": grey(60 * (row % 3) + row), "path": f"{row}.png"} for row in numbers]
    sounds = [{"bytes": wav(tone(400.0 * (row % 3 + 1) + row, 0.05)), "path": None} for row in numbers]
    table = pa.table(
        {
            "label": pa.array([row % 3 for row in numbers]),
            "image": pa.array(images, IMAGE),
            "audio": pa.array(sounds, IMAGE),
            "speaker": [f"speaker {row // 3 % 8}" for row in numbers],
        }
    )
    features = {
        "label": label("low", "middle", "high"),
        "image": {"_type": "Image"},
        "audio": {"sampling_rate": RATE, "_type": "Audio"},
        "speaker": value("string"),
    }
    return table, features


def hf_spec(**changes: Any) -> dict[str, Any]:
    return {
        "source": {"type": "hf_disk", "uri": "data://set"},
        "target": {"column": "label"},
        "modalities": [
            {"name": "seen", "type": "image", "column": "image"},
            {"name": "heard", "type": "audio", "column": "audio", "preprocess": {"sample_rate": RATE, "mels": 16}},
        ],
        **changes,
    }


def test_through_both_tiers(roots: Roots) -> None:
    save_to_disk(roots["data"] / "set", *rows_of(), shards=2, batch=10)
    spec = job(hf_spec())
    assert errors(check(spec.dataset, spec.holdout, roots)) == []
    data = prepare(spec, roots)
    assert data.classes == ("high", "low", "middle")
    assert len(data.sample_ids) == 48
    assert data.modalities["seen"].shape == (1, 4, 4)


def test_a_dict_by_its_parts(roots: Roots) -> None:
    table, features = rows_of()
    save_dict(roots["data"] / "set", {"train": table.slice(0, 30), "test": table.slice(30)}, features)
    spec = job(hf_spec(split={"method": "files", "train": "train", "test": "test"}))
    assert errors(check(spec.dataset, spec.holdout, roots)) == []
    data = prepare(spec, roots)
    assert {part: len(rows) for part, rows in data.split.as_dict().items()} == {
        "train": 26,
        "holdout": 4,
        "validation": 0,
        "test": 18,
    }
    spec = job(hf_spec(source={"type": "hf_disk", "uri": "data://set/train"}))
    assert errors(check(spec.dataset, spec.holdout, roots)) == []
    same = job(hf_spec(split={"method": "files", "train": "train", "test": "train"}))
    assert errors(check(same.dataset, same.holdout, roots)) == [("split.leak", "#/dataset/split/test")]


def test_a_dict_by_itself_names_its_parts(roots: Roots) -> None:
    table, features = rows_of()
    save_dict(roots["data"] / "set", {"train": table, "test": table}, features)
    issue = refused(roots)
    assert (issue.code, issue.pointer, issue.examples) == (
        "source.format",
        "#/dataset/source/uri",
        ("'train'", "'test'"),
    )
    assert issue.hint is not None
    assert '"method": "files"' in issue.hint


def test_a_split_by_hash_needs_names(roots: Roots) -> None:
    save_to_disk(roots["data"] / "set", *rows_of())
    spec = job(hf_spec(split={"method": "hash"}))
    only(check(spec.dataset, spec.holdout, roots), "split.no_id")
    spec = job(hf_spec(split={"method": "hash", "group_by": ["speaker"], "seed": 3}))
    assert errors(check(spec.dataset, spec.holdout, roots)) == []


def test_the_digest_is_of_the_files_and_the_classes(roots: Roots) -> None:
    save(roots, {"label": pa.array([0, 1])}, {"label": label("cat", "dog")})
    before = opened(roots).digest()
    change(roots, "state.json", _fingerprint="another")
    assert opened(roots).digest() == before
    change(roots, "dataset_info.json", features={"label": label("dog", "cat")})
    assert opened(roots).digest() != before


# what is refused


@pytest.mark.parametrize(
    "name",
    ["../secret.arrow", "/etc/passwd", "a/b.arrow", "..", ".", "", "a\\b", "%2e%2e", "a\0b", 7, None, "link.arrow"],
)
def test_files_that_lie_elsewhere(roots: Roots, tmp_path: Path, name: Any) -> None:
    save(roots, {"a": [1]})
    (roots["data"] / "set" / "link.arrow").symlink_to(tmp_path / "secret.arrow")
    change(roots, "state.json", _data_files=[{"filename": name}])
    answers = [refused(roots)]
    (tmp_path / "secret.arrow").write_bytes((roots["data"] / "set" / "data-00000-of-00001.arrow").read_bytes())
    answers.append(refused(roots))
    assert answers[0] == answers[1]
    assert answers[0].code == "source.forbidden"


@pytest.mark.parametrize(
    "files", [None, [], {}, "x", [{"filename": "a.arrow"}] * 2, [{"filename": f"{n}"} for n in range(10_001)]]
)
def test_a_state_that_names_no_files(roots: Roots, files: Any) -> None:
    save(roots, {"a": [1]})
    change(roots, "state.json", _data_files=files)
    assert refused(roots).code == "source.malformed"


def test_a_file_that_is_not_there(roots: Roots) -> None:
    save(roots, {"a": [1, 2]}, shards=2)
    (roots["data"] / "set" / "data-00001-of-00002.arrow").unlink()
    assert (refused(roots).code, refused(roots).examples) == ("source.not_found", ("data-00001-of-00002.arrow",))


@pytest.mark.parametrize("key", ["_indices_files", "_indices_data_files"])
def test_a_selection_of_rows(roots: Roots, key: str) -> None:
    save(roots, {"a": [1]}, state={key: [{"filename": "indices.arrow"}]})
    issue = refused(roots)
    assert (issue.code, issue.hint) == ("source.format", "call flatten_indices() before save_to_disk")


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_buffers(roots: Roots, codec: str) -> None:
    save(roots, {"a": list(range(1000))}, compression=codec)
    issue = refused(roots)
    assert issue.code == "source.format"
    assert "compressed" in issue.detail


def test_compressed_dictionaries(roots: Roots) -> None:
    save(roots, {"text": pa.array(["x" * 1000, "y"]).dictionary_encode()}, compression="lz4")
    assert refused(roots).code == "source.format"


@pytest.mark.parametrize("name", ["state.json", "dataset_info.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1, "a": 2}', "[" * 100_000, " " * (16 * 2**20 + 1)])
def test_json_that_is_none(roots: Roots, name: str, text: str) -> None:
    save(roots, {"a": [1]})
    (roots["data"] / "set" / name).write_text(text)
    assert refused(roots).code == "source.malformed"


@pytest.mark.parametrize("name", ["state.json", "dataset_info.json"])
def test_json_that_is_not_there(roots: Roots, name: str) -> None:
    save(roots, {"a": [1]})
    (roots["data"] / "set" / name).unlink()
    assert refused(roots).code == "source.malformed"


@pytest.mark.parametrize(
    ("columns", "features"),
    [
        ({"label": pa.array([0, 2])}, {"label": label("cat", "dog")}),
        ({"label": pa.array([0, -2])}, {"label": label("cat", "dog")}),
        ({"label": pa.array([[0], [2]])}, {"label": listed(label("cat", "dog"))}),
        ({"label": ["cat", "dog"]}, {"label": label("cat", "dog")}),
        ({"label": pa.array([0, 1])}, {"label": label("cat", "cat")}),
        ({"label": pa.array([0, 1])}, {"label": {"names": ["cat", 7], "_type": "ClassLabel"}}),
        ({"label": pa.array([0, 1])}, "none"),
    ],
)
def test_class_labels_that_do_not_fit(roots: Roots, columns: dict[str, Any], features: Any) -> None:
    save(roots, columns, features)
    assert refused(roots).code == "source.malformed"


def test_files_with_different_columns(roots: Roots) -> None:
    save(roots, {"a": [1, 2]}, shards=2)
    path = roots["data"] / "set" / "data-00001-of-00002.arrow"
    out = io.BytesIO()
    with pa.ipc.new_stream(out, pa.schema([("b", pa.int64())])) as writer:
        writer.write_table(pa.table({"b": [1]}))
    path.write_bytes(out.getvalue())
    assert refused(roots).code == "source.malformed"


def test_no_rows_and_too_many(roots: Roots) -> None:
    save(roots, {"a": pa.array([], pa.int64())})
    assert refused(roots).code == "source.empty"


@pytest.mark.parametrize("limits", [Limits(rows=2), Limits(array_bytes=47)])
def test_more_than_is_read(roots: Roots, limits: Limits) -> None:
    save(roots, {"a": [1, 2, 3]}, batch=1)
    assert refused(roots, limits).code == "source.too_large"
    assert opened(roots, Limits(rows=3, array_bytes=48)).read(["a"]).rows == 3


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        (pa.string_view(), ["x", "y"]),
        (pa.binary_view(), [b"x", b"y"]),
        (pa.list_view(pa.float64()), [[1.0], [2.0]]),
        (pa.struct({"bytes": pa.binary_view(), "path": pa.string()}), [None, None]),
        (pa.list_(pa.string_view()), [["x"], ["y"]]),
    ],
)
def test_views_are_not_read(roots: Roots, kind: pa.DataType, cells: list[Any]) -> None:
    """A thousand of them may show the same megabytes."""
    save(roots, {"a": pa.array(cells, kind)})
    assert opened(roots).headers["a"].kind == "unsupported"


@pytest.mark.parametrize(
    "make",
    [
        lambda: pa.FixedSizeListArray.from_arrays(pa.nulls(2**30), 2**29),
        lambda: pa.ListArray.from_arrays(pa.array([0, 2**30, 2**30], pa.int32()), pa.nulls(2**30)),
        lambda: pa.ListArray.from_arrays(pa.array([0, 2**20, 2**20], pa.int32()), pa.ListArray.from_arrays(
            pa.array(np.append(np.zeros(2**20), 2**30), pa.int32()), pa.nulls(2**30))),
    ],
    ids=["fixed", "list", "list of lists"],
)  # fmt: skip
def test_lists_of_a_billion_nulls(roots: Roots, make: Any) -> None:
    """Nulls take no bytes at all in a file."""
    save(roots, {"v": make()})
    source = opened(roots)
    if source.headers["v"].kind == "unsupported":
        return
    assert refused(roots).code == "source.too_large"
