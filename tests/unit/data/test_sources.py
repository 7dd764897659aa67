"""Manifests and npz files into columns; and what is wrong with those that cannot be read."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data.blobs import BytesBlob
from core.data.sources import Limits, Source, open_source
from core.data.table import Table
from core.errors import DataError, Issue, SpecError
from core.spec.data import ArraysSource, ManifestSource

Roots = dict[str, Path]
EVERYTHING = ("a", "b", "c", "label", "x", "y", "series")


def opened(roots: Roots, name: str, **spec: Any) -> Source:
    return open_source(ManifestSource(uri=f"data://{name}", **spec), roots, wanted=EVERYTHING)


def table(roots: Roots, name: str, raw: bytes) -> Table:
    (roots["data"] / name).write_bytes(raw)
    return opened(roots, name).read(EVERYTHING)


def refused(roots: Roots, name: str, raw: bytes, **spec: Any) -> Issue:
    (roots["data"] / name).write_bytes(raw)
    with pytest.raises(DataError) as raised:
        opened(roots, name, **spec).read(EVERYTHING)
    (issue,) = raised.value.issues
    return issue


# csv and tsv


def test_labels_stay_text_and_numbers_parse(roots: Roots) -> None:
    read = table(roots, "t.csv", b"label,x\n0,1\n01,2.5\n1, -3e2 \n")
    assert read.columns["label"].text() == ["0", "01", "1"]
    values, unreadable = read.columns["x"].numbers()
    assert values.tolist() == [1.0, 2.5, -300.0]
    assert not unreadable.any()


def test_empty_and_blank_cells_are_missing(roots: Roots) -> None:
    read = table(roots, "t.csv", b'label,x\nNA,1\n,2\n"  ",\n')
    assert read.columns["label"].missing.tolist() == [False, True, True]
    assert read.columns["label"].text() == ["NA", "", ""]
    values, unreadable = read.columns["x"].numbers()
    assert np.isnan(values).tolist() == [False, False, True]
    assert not unreadable.any()


def test_what_is_no_number(roots: Roots) -> None:
    read = table(roots, "t.csv", b"x\nabc\n1_000\nnan\n1\ntrue\n")
    values, unreadable = read.columns["x"].numbers()
    assert unreadable.tolist() == [True, True, False, False, False]
    assert values[3:].tolist() == [1.0, 1.0]


def test_a_byte_order_mark_is_no_part_of_the_header(roots: Roots) -> None:
    assert table(roots, "t.csv", b"\xef\xbb\xbfa,b\n1,2\n").columns["a"].text() == ["1"]


def test_quotes_line_breaks_and_windows_line_ends(roots: Roots) -> None:
    read = table(roots, "t.csv", b'a,b\r\n"x, y","1\n2"\r\n\r\n"he said ""no""",3\r\n')
    assert read.columns["a"].text() == ["x, y", 'he said "no"']
    assert read.columns["b"].text() == ["1\n2", "3"]


def test_tsv(roots: Roots) -> None:
    assert table(roots, "t.tsv", b"a\tb\n1,5\t2\n").columns["a"].text() == ["1,5"]


def test_the_format_may_be_said(roots: Roots) -> None:
    (roots["data"] / "t.txt").write_bytes(b"a;b\n")
    issue = refused(roots, "t.txt", b"a,b\n1,2\n")
    assert (issue.code, issue.pointer) == ("source.format", "#/dataset/source/format")
    assert opened(roots, "t.txt", format="csv").read(["a"]).columns["a"].text() == ["1"]


def test_only_wanted_columns_are_kept_but_all_are_known(roots: Roots) -> None:
    (roots["data"] / "t.csv").write_bytes(b"a,other\n1,2\n")
    source = opened(roots, "t.csv")
    assert sorted(source.headers) == ["a", "other"]
    assert sorted(source.read(["a", "other"]).columns) == ["a"]
    assert source.rows == 1


def test_ragged_rows_are_counted_and_numbered(roots: Roots) -> None:
    issue = refused(roots, "t.csv", b"a,b\n1,2\n3\n4,5,6\n7,8\n")
    assert (issue.code, issue.count) == ("source.malformed", 2)
    assert issue.examples == ("row 1: 1 field instead of 2", "row 2: 3 fields instead of 2")


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
@pytest.mark.parametrize("raw", [b"", b"\n \n"])
def test_an_empty_file(roots: Roots, name: str, raw: bytes) -> None:
    issue = refused(roots, name, raw)
    assert issue.code == ("source.malformed" if raw and name == "t.parquet" else "source.empty")
    assert issue.pointer == "#/dataset/source/uri"


@pytest.mark.parametrize("raw", [b"a,b\n", b"a,b", b"\xef\xbb\xbf"])
def test_a_header_without_rows(roots: Roots, raw: bytes) -> None:
    assert refused(roots, "t.csv", raw).code == "source.empty"


def test_a_column_named_twice(roots: Roots) -> None:
    issue = refused(roots, "t.csv", b"a,b,a\n1,2,3\n")
    assert issue.code == "source.malformed"
    assert issue.examples == ("a",)


@pytest.mark.parametrize(
    ("raw", "hint"), [(b"a\n\xff\n", "save it as UTF-8"), ("a,b\n1,2\n".encode("utf-16"), "save it as UTF-8")]
)
def test_other_encodings(roots: Roots, raw: bytes, hint: str) -> None:
    issue = refused(roots, "t.csv", raw)
    assert (issue.code, issue.hint) == ("source.malformed", hint)


def test_a_text_manifest_that_is_too_large(roots: Roots) -> None:
    (roots["data"] / "t.csv").write_bytes(b"a\n" + b"1\n" * 100)
    with pytest.raises(DataError) as raised:
        open_source(ManifestSource(uri="data://t.csv"), roots, wanted=["a"], limits=Limits(text_bytes=100))
    assert raised.value.code == "source.too_large"


# jsonl


def test_jsonl(roots: Roots) -> None:
    lines = [
        {"a": "01", "b": 1, "x": 1.5, "series": [[1, 2], [3, 4]]},
        {"a": "2020-01-01", "b": None, "x": 2, "series": [[5, 6]]},
    ]
    read = table(roots, "t.jsonl", "\n".join(map(json.dumps, lines)).encode() + b"\n\n")
    assert read.columns["a"].text() == ["01", "2020-01-01"]
    assert read.columns["b"].text() == ["1", ""]
    assert read.columns["x"].numbers()[0].tolist() == [1.5, 2.0]
    assert [rows.tolist() for rows in read.columns["series"].values] == [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]]


def test_jsonl_lines_that_are_no_objects(roots: Roots) -> None:
    issue = refused(roots, "t.jsonl", b'{"a": 1}\n[1]\n{"a": \n' + b"[" * 100_000 + b"\n")
    assert (issue.code, issue.count) == ("source.malformed", 3)
    assert issue.examples[0] == "line 2: not an object"
    assert issue.examples[1].startswith("line 3: ")


def test_jsonl_with_mixed_types(roots: Roots) -> None:
    issue = refused(roots, "t.jsonl", b'{"a": 1, "b": 1}\n{"a": "x", "b": 2}\n')
    assert (issue.code, issue.examples) == ("source.malformed", ("a",))


def test_jsonl_with_half_a_surrogate(roots: Roots) -> None:
    assert refused(roots, "t.jsonl", b'{"a": "\\ud800"}\n').code == "source.malformed"


# parquet


def parquet(roots: Roots, columns: dict[str, Any]) -> Source:
    pq.write_table(pa.table(columns), roots["data"] / "t.parquet")
    return opened(roots, "t.parquet")


def test_parquet_types(roots: Roots) -> None:
    read = parquet(
        roots,
        {
            "label": pa.array([0, 1, None], pa.int64()),
            "a": pa.array(["x", "y", "x"]).dictionary_encode(),
            "b": pa.array([True, False, None]),
            "x": pa.array([1.0, float("nan"), 2.5]),
            "y": pa.array([1, 2, 3], pa.timestamp("s")),
        },
    ).read(EVERYTHING)
    assert read.columns["label"].text() == ["0", "1", ""]
    assert read.columns["a"].text() == ["x", "y", "x"]
    assert read.columns["b"].text() == ["true", "false", ""]
    assert read.columns["x"].text() == ["1", "", "2.5"]
    assert read.columns["x"].missing.tolist() == [False, True, False]
    assert read.columns["y"].text()[0] == "1970-01-01 00:00:01.000"


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.large_list(pa.int16()), pa.list_(pa.float64(), 2), pa.list_(pa.bool_())]
)
def test_parquet_lists(roots: Roots, kind: pa.DataType) -> None:
    source = parquet(roots, {"a": pa.array([[1, 0], None, [1, 1]]).cast(kind)})
    assert source.headers["a"].kind == "array"
    column = source.read(["a"]).columns["a"]
    assert column.missing.tolist() == [False, True, False]
    assert [column.values[row].tolist() for row in (0, 2)] == [[1.0, 0.0], [1.0, 1.0]]


def test_parquet_lists_of_lists_of_different_lengths(roots: Roots) -> None:
    column = parquet(roots, {"a": [[[1.0, 2.0], [3.0, None]], [[1.0], [2.0, 3.0]], []]}).read(["a"]).columns["a"]
    assert np.array_equal(column.values[0], [[1.0, 2.0], [3.0, np.nan]], equal_nan=True)
    assert column.values[1].shape == (0, 0, 0)
    assert column.values[2].shape == (0, 0)


def test_a_sliced_parquet_with_row_groups(roots: Roots) -> None:
    whole = pa.table({"a": [[float(i)] * (i % 3) for i in range(100)]})
    pq.write_table(whole.slice(10, 50), roots["data"] / "t.parquet", row_group_size=7)
    column = opened(roots, "t.parquet").read(["a"]).columns["a"]
    assert [value.tolist() for value in column.values] == [[float(i)] * (i % 3) for i in range(10, 60)]


def test_parquet_that_is_none(roots: Roots) -> None:
    issue = refused(roots, "t.parquet", b"PAR1 no PAR1")
    assert issue.code == "source.malformed"
    assert str(roots["data"]) not in issue.detail


def test_parquet_without_rows(roots: Roots) -> None:
    with pytest.raises(DataError, match=r"source\.empty"):
        parquet(roots, {"a": pa.array([], pa.int64())})


def test_parquet_in_several_batches(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.data.sources.parquet._BATCH_ROWS", 3)
    read = parquet(roots, {"a": [str(i % 4) for i in range(10)], "x": list(range(10))}).read(["a", "x"])
    assert read.columns["a"].text() == [str(i % 4) for i in range(10)]
    assert read.columns["x"].values.tolist() == list(range(10))


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_parquet_cells_that_are_files(roots: Roots, kind: pa.DataType) -> None:
    source = parquet(roots, {"a": pa.array([b"one", None, b""], kind), "x": [1, 2, 3]})
    assert source.headers["a"].kind == "file"
    assert source.costly == {"a"}
    column = source.read(["a"]).columns["a"]
    assert column.missing.tolist() == [False, True, False]
    assert column.cells() == [BytesBlob(b"one"), "", BytesBlob(b"")]


def test_parquet_cells_of_bytes_and_a_path(roots: Roots) -> None:
    """As Hugging Face's datasets writes images and sounds: bytes where it has them, a path where not."""
    cells = [
        {"bytes": b"one", "path": "1.png"},
        {"bytes": None, "path": "../2.png"},
        {"bytes": None, "path": None},
        None,
        {"bytes": None, "path": " "},
    ]
    source = parquet(roots, {"a": pa.array(cells, pa.struct({"bytes": pa.binary(), "path": pa.string()}))})
    column = source.read(["a"]).columns["a"]
    assert column.cells() == [BytesBlob(b"one"), "../2.png", "", "", ""]
    assert column.missing.tolist() == [False, False, True, True, True]


def test_other_structs_are_no_files(roots: Roots) -> None:
    kinds = {
        "a": pa.struct({"bytes": pa.string(), "path": pa.string()}),
        "b": pa.struct({"bytes": pa.binary()}),
        "c": pa.struct({"bytes": pa.binary(), "path": pa.string(), "more": pa.int8()}),
    }
    source = parquet(roots, {name: pa.array([None], kind) for name, kind in kinds.items()})
    assert {header.kind for header in source.headers.values()} == {"unsupported"}


def test_files_in_several_row_groups(roots: Roots) -> None:
    table = pa.table({"a": [b"%d" % i for i in range(150)]})
    pq.write_table(table, roots["data"] / "t.parquet", row_group_size=70)
    cells = opened(roots, "t.parquet").read(["a"]).columns["a"].cells()
    assert cells == [BytesBlob(b"%d" % i) for i in range(150)]


@pytest.mark.parametrize(("kind", "rows"), [(pa.string(), 1_000_000), (pa.binary(), 1000)])
def test_a_dictionary_is_not_unfolded(roots: Roots, kind: pa.DataType, rows: int) -> None:
    """Values of one million bytes, a million times (a terabyte): cells that are alike share their value."""
    codes = pa.array(np.zeros(rows, dtype=np.int32), mask=np.arange(rows) == 7)
    source = parquet(roots, {"a": pa.DictionaryArray.from_arrays(codes, pa.array(["a" * 1_000_000]).cast(kind))})
    column = source.read(["a"]).columns["a"]
    assert np.flatnonzero(column.missing).tolist() == [7]
    assert column.values[0] is column.values[rows - 1]


def test_a_dictionary_of_nothing(roots: Roots) -> None:
    empty = pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int8()), pa.array([], pa.string()))
    assert parquet(roots, {"a": empty}).read(["a"]).columns["a"].text() == ["", ""]


def test_parquet_columns_that_are_too_large(roots: Roots) -> None:
    table = pa.table({"a": list(range(1000)), "b": pa.array([0] * 1000, pa.int8())})
    pq.write_table(table, roots["data"] / "t.parquet")
    spec = ManifestSource(uri="data://t.parquet")
    source = open_source(spec, roots, wanted=["a", "b"], limits=Limits(array_bytes=6000))
    assert source.read(["b"]).rows == 1000
    with pytest.raises(DataError, match=r"source\.too_large"):
        source.read(["a"])


# npz


def npz(roots: Roots, **arrays: Any) -> Source:
    np.savez(roots["data"] / "t.npz", **arrays)
    return open_source(ArraysSource(uri="data://t.npz"), roots, wanted=EVERYTHING)


def test_npz(roots: Roots) -> None:
    source = npz(
        roots,
        y=np.array([0, 1]),
        a=np.array(["u", "v"]),
        b=np.array([True, False]),
        c=np.array([b"u", b""]),
        x=np.array([1.5, np.nan], np.float16),
        series=np.arange(12, dtype=np.int8).reshape(2, 3, 2),
    )
    read = source.read(EVERYTHING)
    assert source.rows == 2
    assert [read.columns[name].text() for name in ("y", "a", "b", "c", "x")] == [
        ["0", "1"],
        ["u", "v"],
        ["true", "false"],
        ["u", ""],
        ["1.5", ""],
    ]
    assert source.headers["series"].shape == (3, 2)
    assert read.columns["series"].values[1].tolist() == [[6, 7], [8, 9], [10, 11]]


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        raise AssertionError("something was unpickled")


def test_object_arrays_are_refused_and_nothing_is_unpickled(roots: Roots) -> None:
    raw = io.BytesIO()
    header: dict[str, Any] = {"descr": "|O", "fortran_order": False, "shape": (2,)}
    np.lib.format.write_array_header_1_0(raw, header)
    with zipfile.ZipFile(roots["data"] / "t.npz", "w") as archive:
        archive.writestr("a.npy", raw.getvalue() + b"cos\nsystem\n")
    with pytest.raises(DataError) as raised:
        open_source(ArraysSource(uri="data://t.npz"), roots, wanted=["a"])
    assert raised.value.code == "source.object_array"
    assert raised.value.issues[0].examples == ("a",)


def test_arrays_of_different_lengths(roots: Roots) -> None:
    with pytest.raises(DataError) as raised:
        npz(roots, a=np.zeros(3), b=np.zeros((4, 2)), other=np.zeros(9))
    assert raised.value.issues[0].examples == ("a: 3", "b: 4")


def test_an_array_that_claims_to_be_longer_than_it_is(roots: Roots) -> None:
    raw = io.BytesIO()
    np.lib.format.write_array_header_1_0(raw, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(roots["data"] / "t.npz", "w") as archive:
        archive.writestr("a.npy", raw.getvalue() + b"\x00" * 80)
    with pytest.raises(DataError, match="not as long as its header says"):
        open_source(ArraysSource(uri="data://t.npz"), roots, wanted=["a"])


def test_a_zip_bomb_is_refused_by_its_header(roots: Roots) -> None:
    np.savez_compressed(roots["data"] / "t.npz", a=np.zeros((1000, 1000)))
    assert (roots["data"] / "t.npz").stat().st_size < 20_000
    with pytest.raises(DataError, match=r"source\.too_large"):
        open_source(ArraysSource(uri="data://t.npz"), roots, wanted=["a"], limits=Limits(array_bytes=10**6))


def test_unsupported_arrays_are_known_but_not_read(roots: Roots) -> None:
    source = npz(roots, a=np.array([1j, 2]), b=np.zeros(2, dtype=[("u", "i4")]), y=np.zeros(2), x=np.float64(3))
    assert [source.headers[name].kind for name in ("a", "b", "x", "y")] == ["unsupported"] * 3 + ["number"]
    assert sorted(source.read(EVERYTHING).columns) == ["y"]


@pytest.mark.parametrize("raw", [b"no zip", b"PK\x03\x04 half a zip", b"\x93NUMPY\x01\x00"])
def test_an_npz_that_is_none(roots: Roots, raw: bytes) -> None:
    (roots["data"] / "t.npz").write_bytes(raw)
    with pytest.raises(DataError) as raised:
        open_source(ArraysSource(uri="data://t.npz"), roots, wanted=["a"])
    assert raised.value.code == "source.malformed"
    assert str(roots["data"]) not in raised.value.detail


def test_a_damaged_member(roots: Roots) -> None:
    source = npz(roots, a=np.arange(1000.0))
    path = roots["data"] / "t.npz"
    raw = bytearray(path.read_bytes())
    raw[4000] ^= 255
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"source\.malformed"):
        source.read(["a"])


# damage


@settings(
    deadline=None, max_examples=120, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(["t.csv", "t.jsonl", "t.parquet", "t.npz", "z.npz"]),
    places=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 4000),
)
def test_damaged_bytes_never_raise_anything_else(
    name: str, places: list[tuple[int, int]], cut: int, roots: Roots
) -> None:
    table = {"label": ["a", "b", "é"], "x": [1.0, 2.0, 3.0], "y": [0, 1, 2]}
    path = roots["data"] / name
    if name == "t.csv":
        path.write_text("label,x,y\n" + "\n".join(",".join(map(str, row)) for row in zip(*table.values(), strict=True)))
    elif name == "t.jsonl":
        path.write_text(
            "\n".join(json.dumps(dict(zip(table, row, strict=True))) for row in zip(*table.values(), strict=True))
        )
    elif name == "t.parquet":
        pq.write_table(pa.table({**table, "series": [[1.0]] * 3}), path)
    else:
        (np.savez if name == "t.npz" else np.savez_compressed)(path, **table)
    raw = bytearray(path.read_bytes())
    for place, value in places:
        raw[place % len(raw)] = value
    path.write_bytes(raw[: len(raw) - cut] if cut < len(raw) // 2 else raw)
    spec = ArraysSource(uri=f"data://{name}") if name.endswith("npz") else ManifestSource(uri=f"data://{name}")
    try:
        read = open_source(spec, roots, wanted=EVERYTHING).read(EVERYTHING)
    except DataError as error:
        (issue,) = error.issues
        assert issue.severity == "error"
    else:
        assert all(len(column.text()) == read.rows for column in read.columns.values() if column.header.kind != "array")


def test_a_ragged_row_that_is_no_utf8(roots: Roots) -> None:
    issue = refused(roots, "t.csv", b"a,b\n1,2\n\x9f\n")
    assert (issue.detail, issue.hint) == ("invalid UTF-8 near byte 8", "save it as UTF-8")


# where it is


def test_a_source_that_is_not_there(roots: Roots) -> None:
    with pytest.raises(DataError) as raised:
        opened(roots, "none.csv")
    assert (raised.value.code, raised.value.issues[0].pointer) == ("source.not_found", "#/dataset/source/uri")


def test_a_source_outside_the_roots(roots: Roots) -> None:
    with pytest.raises(SpecError) as raised:
        opened(roots, "../x.csv")
    assert raised.value.issues[0].pointer == "#/dataset/source/uri"


def test_base_uri(roots: Roots) -> None:
    (roots["data"] / "t.csv").write_bytes(b"a\n1\n")
    (roots["data"] / "media").mkdir()
    assert opened(roots, "t.csv").base == roots["data"]
    assert opened(roots, "t.csv", base_uri="data://media").base == roots["data"] / "media"
    for uri, code in (("data://none", "source.not_found"), ("file:///", "source.forbidden")):
        with pytest.raises((DataError, SpecError)) as raised:
            opened(roots, "t.csv", base_uri=uri)
        assert (raised.value.code, raised.value.issues[0].pointer) == (code, "#/dataset/source/base_uri")


def test_the_digest_is_of_the_bytes(roots: Roots) -> None:
    (roots["data"] / "t.csv").write_bytes(b"a\n1\n")
    assert opened(roots, "t.csv").digest() == "309b0e45a73d3fc5325e2b6ed0a01ef8b9cde6b05a5633c1f893f970d52bfddc"
