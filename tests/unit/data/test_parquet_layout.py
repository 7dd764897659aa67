"""What a Parquet file unfolds to is known, and refused where it is too much, before Arrow decodes it."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data.sources import Limits, open_source
from core.data.sources.parquet_layout import Cost, cost_of, read_layout
from core.data.sources.thrift import Compact, EndsEarlyError
from core.data.table import Column
from core.errors import DataError
from core.spec.data import ManifestSource
from tests.unit.data.hostile.parquet_files import (
    BYTE_ARRAY,
    DICTIONARY,
    DOUBLE,
    INT64,
    REPEATED,
    RLE_DICTIONARY,
    TEXT,
    Long,
    element,
    growing,
    levels,
    page,
    parquet,
    runs,
    texts,
    thrift,
)

Roots = dict[str, Path]


def costs(table: pa.Table, **options: Any) -> dict[str, Cost]:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return {leaf.path: cost_of(file, leaf) for leaf in read_layout(file)}


def read(roots: Roots, raw: bytes, limits: Limits | None = None) -> Column:
    (roots["data"] / "t.parquet").write_bytes(raw)
    source = open_source(ManifestSource(uri="data://t.parquet"), roots, wanted=["a"], limits=limits)
    return source.read(["a"]).columns["a"]


def refused(roots: Roots, raw: bytes, limits: Limits | None = None) -> tuple[str, str]:
    with pytest.raises(DataError) as raised:
        read(roots, raw, limits)
    return raised.value.code, raised.value.detail


# what is read of true files


def test_numbers_cost_their_width() -> None:
    table = pa.table({"a": pa.array(range(100), pa.int64()), "b": [[1.0, 2.0]] * 100, "c": [True] * 100})
    found = costs(table, use_dictionary=False)
    assert found == {"a": Cost(bytes=800), "b.list.element": Cost(bytes=1600), "c": Cost(bytes=100)}


def test_texts_cost_what_is_stored_and_say_whether_they_are_shared() -> None:
    table = pa.table({"a": ["x" * 100, "y" * 100] * 50, "b": [str(number) for number in range(100)]})
    one = costs(table, use_dictionary=["a"], compression="none", data_page_version="2.0")
    assert one["a"].shared
    assert one["a"].widest == 208
    # A dictionary page of two texts, two Python objects, and codes.
    assert 208 + 2 * 64 <= one["a"].bytes < 400
    assert not one["b"].shared
    assert one["b"].bytes == pytest.approx(100 * 4 + 190, abs=20)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_every_page_of_every_group_is_found(groups: int, codec: str, version: str) -> None:
    table = pa.table({"a": pa.array(np.arange(9000)), "b": pa.array([None, [None, 1.5], [], [2.5]] * 2250)})
    found = costs(
        table,
        row_group_size=9000 // groups,
        compression=codec,
        data_page_version=version,
        data_page_size=1000,
        use_dictionary=False,
    )
    assert found["a"] == Cost(bytes=72_000)
    assert found["b.list.element"] == Cost(bytes=11_250 * 8)


def test_deep_columns_have_their_paths() -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": [{"b": [{"c": 1, "d": "x"}]}], "e": [1]}), file)
    assert [(leaf.path, leaf.root, leaf.repeated) for leaf in read_layout(file)] == [
        ("a.b.list.element.c", "a", True),
        ("a.b.list.element.d", "a", True),
        ("e", "e", False),
    ]


def test_a_file_by_hand_is_read(roots: Roots) -> None:
    assert read(roots, parquet(page(struct.pack("<qq", 5, 6), 2), rows=2)).values.tolist() == [5, 6]


# bombs


def test_a_list_of_a_billion_numbers_in_forty_bytes(roots: Roots) -> None:
    many = 10**9
    dictionary = page(struct.pack("<d", 1.0), 1, kind=DICTIONARY)
    body = levels((1, 0), (many - 1, 1)) + levels((many, 1)) + b"\x01" + runs((many, 0))
    raw = dictionary + page(body, many, encoding=RLE_DICTIONARY)
    raw = parquet(raw, type=DOUBLE, repetition=REPEATED, values=many, dictionary=len(dictionary))
    assert len(raw) < 250
    assert refused(roots, raw)[0] == "source.too_large"


def one_text(rows: int, *more: bytes) -> bytes:
    """A million bytes, that many times, and then the texts of another page that has no dictionary."""
    dictionary = page(texts(b"x" * 1_000_000), 1, kind=DICTIONARY)
    pages = dictionary + page(b"\x01" + runs((rows, 0)), rows, encoding=RLE_DICTIONARY)
    if more:
        pages += page(texts(*more), len(more))
    return parquet(pages, type=BYTE_ARRAY, rows=rows + len(more), dictionary=len(dictionary), schema=TEXT)


def test_a_text_that_a_million_rows_share_is_there_once(roots: Roots) -> None:
    values = read(roots, one_text(1_000_000)).values
    assert len({id(value) for value in values}) == 1
    assert len(values[999_999]) == 1_000_000


def test_a_text_that_many_rows_share_beside_others(roots: Roots) -> None:
    values = read(roots, one_text(300, b"one", b"two")).values
    assert (len(values[299]), values[300], values[301]) == (1_000_000, "one", "two")
    assert refused(roots, one_text(1000, b"one"), Limits(array_bytes=2**29))[0] == "source.too_large"


def test_texts_as_what_they_share_with_the_one_before(roots: Roots) -> None:
    assert [len(text) for text in read(roots, growing(2000)).values] == list(range(1, 2001))
    assert refused(roots, growing(100_000))[0] == "source.too_large"  # five billion letters


@pytest.mark.parametrize("kind", [0, DICTIONARY])
def test_a_page_of_zeros_that_no_value_needs(roots: Roots, kind: int) -> None:
    dictionary = page(b"", 1, kind=DICTIONARY, unpacked=2**31 - 1)
    values = page(b"", 10, unpacked=2**31 - 1)
    raw = parquet(dictionary + values if kind else values, rows=10, dictionary=len(dictionary) if kind else None)
    code, detail = refused(roots, raw)
    assert code == "source.malformed"
    assert "claims 2147483647 bytes for" in detail


# lies


def lying(**changes: Any) -> bytes:
    return parquet(page(struct.pack("<q", 5), 1), **changes)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (lying(magic=b"PARE"), "it is encrypted"),
        (lying(footer={8: {1: {}}}), "it is encrypted"),
        (lying(chunk={8: {1: {}}}), "the column 'a' is encrypted"),
        (lying(chunk={1: b"../other.parquet"}), "the column 'a' lies in another file"),
        (lying(column={9: Long(10**6)}), "is not where the footer says"),
        (lying(column={9: Long(-4)}), "is not where the footer says"),
        (lying(column={7: Long(-1)}), "is not where the footer says"),
        (lying(column={7: Long(2**62)}), "is not where the footer says"),
        (lying(column={1: DOUBLE}), "is not where the footer says"),
        (lying(footer={3: Long(2)}), "row groups do not have the rows"),
        (lying(footer={4: [{1: [], 3: Long(1)}]}), "does not have the columns of the schema"),
        (lying(footer={2: []}), "its schema has 0 elements"),
        (lying(schema=[element("schema", children=2), element("a", type=INT64)]), "its schema lacks fields"),
        (lying(schema=[element("schema", children=0), element("a", type=INT64)]), "its schema is no tree"),
        (lying(schema=[element("schema", children=1), element("a")]), "neither a column nor a group"),
        (lying(type=7, length=-1), "have -1 bytes"),
        (lying(footer={3: b"1"}), "a field of type 8 in place of i64"),
        (parquet(page(b"", 1, f3=-5), rows=1), "behind the column's end"),
        (parquet(page(b"", 1, f3=10**6), rows=1), "behind the column's end"),
        (parquet(page(b"", -1), rows=1), "does not say how many values"),
        (parquet(thrift({1: 0, 2: 8, 3: 0}), rows=1), "does not say how many values"),
        (parquet(b"\x15", rows=1), "it ends early"),
        (b"PAR1" + b"\0" * 8 + struct.pack("<I", 10**6) + b"PAR1", "it has no footer"),
    ],
)
def test_lies_are_found_before_arrow_believes_them(roots: Roots, raw: bytes, told: str) -> None:
    code, detail = refused(roots, raw)
    assert code == "source.malformed"
    assert told in detail


def test_a_schema_that_is_too_deep(roots: Roots) -> None:
    """Arrow's readers call themselves once per level."""
    deep = [element("schema", children=1), *[element(f"g{level}", children=1, repetition=1) for level in range(5000)]]
    code, detail = refused(roots, lying(schema=[*deep, element("a", type=INT64)]))
    assert (code, "deeper than 16" in detail) == ("source.malformed", True)


def test_two_columns_of_one_name(roots: Roots) -> None:
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), roots["data"] / "t.parquet")
    code, detail = refused(roots, (roots["data"] / "t.parquet").read_bytes())
    assert (code, detail) == ("source.malformed", "the schema names 'a' more than once")


# Thrift


def parse(raw: bytes, shape: Any, elements: int = 100) -> dict[str, Any]:
    return Compact(raw, elements=elements).struct(shape)


def test_fields_that_are_wanted_and_those_that_are_passed_over() -> None:
    raw = thrift({1: 7, 2: {1: b"x", 2: [1, 2], 3: True}, 3: Long(-5), 20: [b"a", b"b"], 21: False, 300: [{1: -1}]})
    shape = {
        3: ("three", "i64"),
        20: ("texts", ["binary"]),
        21: ("no", "bool"),
        300: ("structs", [{1: ("one", "i32")}]),
    }
    assert parse(raw, shape) == {"three": -5, "texts": [b"a", b"b"], "no": False, "structs": [{"one": -1}]}


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"\x15\x02\x05\x02\x04\x00", "twice"),  # field 1, and then field 1 again by its full number
        (b"\x15" + b"\xff" * 5 + b"\x0f", "more than 32 bits"),
        (b"\x15" + b"\xff" * 10 + b"\x0f", "more than 64 bits"),
        (b"\x29\xf5\xff\xff\xff\xff\x0f", "more than there are bytes"),
        (b"\x28\xff\xff\xff\xff\x0f", "more than there are"),
        (b"\x2f\x00", "unknown type 15"),
        (b"\x2c" * 100, "deeper than 32"),
        (b"\x29\x19" * 100, "deeper than 32"),
        (b"\x29\xfc\xc8\x01" + b"\x00" * 300, "more fields and elements"),
    ],
)
def test_thrift_that_is_refused(raw: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse(raw, {1: ("one", "i32")})


def test_thrift_that_ends_early() -> None:
    raw = thrift({1: 7, 2: b"abc", 3: [1, 2]})
    for cut in range(len(raw)):
        with pytest.raises(EndsEarlyError):
            parse(raw[:cut], {1: ("one", "i32")})
    assert parse(raw, {1: ("one", "i32")}) == {"one": 7}
