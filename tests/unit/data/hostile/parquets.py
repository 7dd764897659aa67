"""Parquet files that mean harm, most of them written by hand."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit.data.builders import grey, table_rows
from tests.unit.data.hostile.archives import Writes
from tests.unit.data.hostile.cases import NUMBERS, Case, Spec, manifest, media, source_case
from tests.unit.data.hostile.parquet_files import (
    BYTE_ARRAY,
    DATA_V2,
    DELTA_BYTES,
    DICTIONARY,
    DOUBLE,
    GZIP,
    INT64,
    REPEATED,
    REQUIRED,
    RLE_DICTIONARY,
    Long,
    element,
    growing,
    levels,
    page,
    parquet,
    runs,
    texts,
    thrift,
    varint,
)

ROWS = table_rows(16)
VECTOR: Spec = {"name": "vector", "type": "embedding", "column": "v"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column by hand: its pages, and what the footer says of it."""

    name: str
    pages: bytes
    type: int = BYTE_ARRAY
    repetition: int = REQUIRED
    values: int | None = None
    dictionary: int | None = None
    codec: int = 0


def text_column(name: str, values: Sequence[str]) -> Column:
    """A true column of texts."""
    return Column(name=name, pages=page(texts(*(value.encode() for value in values)), len(values)))


def table(hostile: Column, rows: int = 16, schema_of: Sequence[dict[int, Any]] | None = None) -> bytes:
    """The good columns label, split, x and c (unless it is one of them), and the hostile one."""
    good = [ROWS[min(row, 15)] for row in range(rows)] if rows <= 16 else []
    columns = [text_column(name, [str(row[name]) for row in good]) for name in ("label", "split", "x", "c")]
    columns = [column for column in columns if column.name != hostile.name] + [hostile]
    body, chunks, leaves = b"PAR1", [], []
    for column in columns:
        at, size = len(body), Long(len(column.pages))
        data = at + (column.dictionary or 0)
        where = {9: Long(data), 11: Long(at) if column.dictionary else None}
        count = Long(rows if column.values is None else column.values)
        meta = {1: column.type, 2: [0], 3: [column.name.encode()], 4: column.codec, 5: count, 6: size, 7: size, **where}
        chunks.append({2: Long(4), 3: meta})
        converted = {6: 0} if column.type == BYTE_ARRAY else {}
        leaves.append(element(column.name, type=column.type, repetition=column.repetition) | converted)
        body += column.pages
    said: dict[int, Any] = {
        1: 1,
        2: [element("schema", children=len(leaves)), *leaves],
        3: Long(rows),
        4: [{1: chunks, 2: Long(len(body)), 3: Long(rows)}],
    }
    told = thrift(said)
    return body + told + struct.pack("<I", len(told)) + b"PAR1"


def coded(
    name: str, dictionary: bytes, entries: int, codes: bytes, count: int, unpacked: int | None = None, **more: Any
) -> Column:
    """A column whose values are codes of a dictionary, which claims to unfold to `unpacked` bytes."""
    first = page(dictionary, entries, kind=DICTIONARY, unpacked=unpacked)
    second = page(codes, count, encoding=RLE_DICTIONARY)
    return Column(name=name, pages=first + second, dictionary=len(first), values=count, **more)


def billion_numbers() -> bytes:
    """Sixteen vectors, the last of which has a billion numbers."""
    many = 10**9
    body = levels((16, 0), (many - 16, 1)) + levels((many, 1)) + b"\x01" + runs((many, 0))
    return table(coded("v", struct.pack("<d", 1.0), 1, body, many, type=DOUBLE, repetition=REPEATED))


def billion_texts() -> bytes:
    """Sixteen lists of texts, the last of which has half a billion; each text is a million letters."""
    many = 5 * 10**8
    body = levels((16, 0), (many - 16, 1)) + levels((many, 1)) + b"\x01" + runs((many, 0))
    return table(coded("label", texts(b"x" * 1_000_000), 1, body, many, repetition=REPEATED))


def deep(levels_: int) -> bytes:
    """Groups in groups."""
    groups = [element(f"g{level}", children=1, repetition=1) for level in range(levels_)]
    schema = [element("schema", children=1), *groups, element("a", type=INT64)]
    return parquet(page(struct.pack("<q", 5), 1), schema=schema)


def wide(columns: int) -> bytes:
    """So many columns, and no rows' worth of any."""
    schema = [element("schema", children=columns), *[element(f"c{number}", type=INT64) for number in range(columns)]]
    return parquet(page(struct.pack("<q", 5), 1), schema=schema)


def endless_list() -> bytes:
    """A footer whose list has two billion elements by its own account."""
    told = b"\x15\x02\x19\xfc\xff\xff\xff\xff\x07"
    return b"PAR1" + told + struct.pack("<I", len(told)) + b"PAR1"


def many_structs() -> bytes:
    """A footer of twelve million empty structs: a byte each, and hundreds in Python or C++."""
    many = 12_000_000
    told = b"\x15\x02\x19\xfc" + varint(many) + bytes(many) + b"\0"
    return b"PAR1" + told + struct.pack("<I", len(told)) + b"PAR1"


def one(**changes: Any) -> bytes:
    """One column of one number, and a lie."""
    return parquet(page(struct.pack("<q", 5), 1), **changes)


def _arrow(make: Callable[[], pa.Table], *modalities: Spec, **changes: Any) -> Callable[[Path], Spec]:
    def build(data: Path) -> Spec:
        pq.write_table(make(), data / "t.parquet")
        return manifest("t.parquet", *modalities, **changes)

    return build


def _good(**more: Any) -> pa.Table:
    found = pa.Table.from_pylist(ROWS)
    for name, values in more.items():
        found = found.drop_columns(name) if name in found.column_names else found
        found = found.append_column(name, values)
    return found


def _pickled(data: Path) -> Spec:
    """Cells that are pickles: they come out as bytes, which are no image."""
    import pickle

    cells = [pickle.dumps(Writes(data.parent / "unpickled"))] * 15 + [grey(7)]
    pq.write_table(_good(m=pa.array(cells, pa.binary())), data / "t.parquet")
    return manifest("t.parquet", NUMBERS, media("image"))


def _extension() -> pa.Table:
    """The type that pandas' objects and pickled types had: nothing of it is looked at but the storage."""
    kind = pa.field("x", pa.binary(), metadata={"ARROW:extension:name": "arrow.py_extension_type",
                                                "ARROW:extension:metadata": "\x80\x04cos\nsystem\n"})  # fmt: skip
    values = pa.array([b"cos\nsystem\n"] * 16)
    found = _good().drop_columns("x")
    return found.append_column(kind, values)


def _mistyped_schema(data: Path) -> Spec:
    """An Arrow schema, kept beside Parquet's own, that says something else, and is damaged."""
    for number, hint in enumerate((b"AAAA", b"//////8AAAA" * 50, b"\xff" * 100)):
        found = _good().replace_schema_metadata({})
        pq.write_table(found, data / f"{number}.parquet", store_schema=False)
        raw = (data / f"{number}.parquet").read_bytes()
        length = struct.unpack("<I", raw[-8:-4])[0]
        footer = raw[-8 - length : -8]
        pair = thrift({1: b"ARROW:schema", 2: hint})
        # Field 5 of the footer, the keys and values, behind field 4: the first byte of field 6 tells where.
        at = footer.rindex(b"\x28")
        changed = footer[:at] + b"\x19\x1c" + pair + b"\x18" + footer[at + 1 :]
        raw = raw[: -8 - length] + changed + struct.pack("<I", len(changed)) + b"PAR1"
        (data / f"{number}.parquet").write_bytes(raw)
    split = {"method": "files", "train": "0.parquet", "validation": "1.parquet", "test": "2.parquet"}
    return manifest("", split=split)


FILES: dict[str, tuple[bytes, str]] = {
    "encrypted": (one(magic=b"PARE"), "source.malformed"),
    "encrypted with a plain footer": (one(footer={8: {1: {}}}), "source.malformed"),
    "an encrypted column": (one(chunk={8: {1: {}}}), "source.malformed"),
    "a column in another file": (one(chunk={1: b"../outside/secret.parquet"}), "source.malformed"),
    "a column in /etc/passwd": (one(chunk={1: b"/etc/passwd"}), "source.malformed"),
    "a schema of five thousand levels": (deep(5000), "source.malformed"),
    "a schema of twenty levels": (deep(20), "source.malformed"),
    "a schema of two hundred thousand columns": (wide(200_000), "source.malformed"),
    "more columns in the schema than in the groups": (wide(1000), "source.malformed"),
    "a list of two billion": (endless_list(), "source.malformed"),
    "twelve million structs": (many_structs(), "source.malformed"),
    "a footer longer than the file": (b"PAR1" + struct.pack("<I", 2**31) + b"PAR1", "source.malformed"),
    "a footer of garbage": (b"PAR1" + b"\xff" * 1000 + struct.pack("<I", 1000) + b"PAR1", "source.malformed"),
    "an empty footer": (b"PAR1" + struct.pack("<I", 0) + b"PAR1", "source.malformed"),
    "half a file": (one()[:40], "source.malformed"),
    "negative rows": (one(footer={3: Long(-1)}), "source.malformed"),
    "eleven million rows": (parquet(page(b"", 11_000_000, encoding=RLE_DICTIONARY), rows=11_000_000),
                            "source.too_large"),
    "no magic": (b"hello" * 100, "source.malformed"),
}  # fmt: skip


def _file(raw: bytes, *modalities: Spec, **changes: Any) -> Callable[[Path], Spec]:
    def build(data: Path) -> Spec:
        (data / "t.parquet").write_bytes(raw)
        return manifest("t.parquet", *modalities, **changes)

    return build


def _nested_nulls() -> pa.Table:
    """Lists in lists in lists of nothing."""
    kind: pa.DataType = pa.null()
    for _ in range(5):
        kind = pa.list_(kind)
    return _good(v=pa.array([None, [None], [[None]], [[[None]]]] * 4, kind))


CASES = [
    *(source_case(name, "t.parquet", raw, code) for name, (raw, code) in FILES.items()),
    Case(name="a billion numbers in a list", build=_file(billion_numbers(), NUMBERS, VECTOR),
         codes=("source.too_large",), by="prepare"),
    Case(name="half a billion texts in a list", build=_file(billion_texts(), target={"column": "label",
         "type": "multilabel"}), codes=("source.too_large",)),
    Case(name="texts as what they share with the one before", build=_file(growing(100_000)),
         codes=("column.missing",) * 4),
    Case(name="a number column of 2 GB of nothing", build=_file(table(Column(name="x", type=DOUBLE,
         pages=page(b"", 16, unpacked=2**31 - 1)))), codes=("source.malformed",)),
    Case(name="a dictionary of 2 GB of nothing", build=_file(table(coded("x", b"", 1, b"\x01" + runs((16, 0)), 16,
         type=DOUBLE, unpacked=2**31 - 1))), codes=("source.malformed",)),
    Case(name="a page of the second version of 2 GB of nothing", build=_file(table(Column(name="x", type=DOUBLE,
         pages=page(b"", 16, kind=DATA_V2, unpacked=2**31 - 1)))), codes=("source.malformed",)),
    Case(name="a codec that there is not", build=_file(table(Column(name="x", type=DOUBLE, codec=77,
         pages=page(bytes(128), 16)))), codes=("source.malformed",)),
    Case(name="gzip that is none", build=_file(table(Column(name="x", type=DOUBLE, codec=GZIP,
         pages=page(bytes(50), 16, unpacked=128)))), codes=("source.malformed",)),
    Case(name="fewer values than rows", build=_file(table(Column(name="x", type=DOUBLE,
         pages=page(bytes(64), 8), values=8))), codes=("source.malformed",)),
    Case(name="more values than rows", build=_file(table(Column(name="x", type=DOUBLE,
         pages=page(bytes(256), 32), values=32))), codes=(), by="nobody"),
    Case(name="codes beyond the dictionary", build=_file(table(coded("x", struct.pack("<d", 1.0), 1,
         b"\x08" + runs((16, 200)), 16, type=DOUBLE))), codes=("source.malformed",)),
    Case(name="text codes beyond the dictionary", build=_file(table(coded("c", texts(b"p"), 1,
         b"\x08" + runs((16, 200)), 16))), codes=("source.malformed",)),
    Case(name="codes of a width of 200 bits", build=_file(table(coded("c", texts(b"p"), 1,
         b"\xc8" + runs((16, 0)), 16))), codes=("source.malformed",)),
    Case(name="texts longer than their page", build=_file(table(Column(name="c",
         pages=page(struct.pack("<I", 2**31 - 1) + b"x", 16)))), codes=("source.malformed",)),
    Case(name="texts of negative length", build=_file(table(Column(name="c",
         pages=page(struct.pack("<i", -5) + b"x" * 90, 16)))), codes=("source.malformed",)),
    Case(name="differences of garbage", build=_file(table(Column(name="c",
         pages=page(b"\xff" * 100, 16, encoding=DELTA_BYTES)))), codes=("source.malformed",)),
    Case(name="an encoding that there is not", build=_file(table(Column(name="c",
         pages=page(b"\xff" * 100, 16, encoding=99)))), codes=("source.malformed",)),
    Case(name="texts that are no UTF-8", build=_file(table(Column(name="label",
         pages=page(texts(*[b"\xff\xfe"] * 16), 16)))), codes=("source.malformed",)),
    Case(name="pickles", build=_pickled, codes=("file.format",), by="prepare"),
    Case(name="an extension type that is a pickle", build=_arrow(_extension), codes=("value.dtype",)),
    Case(name="nested nulls", build=_arrow(_nested_nulls, NUMBERS, VECTOR), codes=("value.dtype",)),
    Case(name="a map in place of a number", build=_arrow(lambda: _good(x=pa.array([[("a", 1)]] * 16,
         pa.map_(pa.string(), pa.int8())))), codes=("value.dtype",)),
    Case(name="an Arrow schema that is damaged", build=_mistyped_schema, codes=("source.malformed",) * 3),
    Case(name="a number that is infinite", build=_arrow(lambda: _good(x=pa.array([np.inf] * 16))),
         codes=("value.not_finite",)),
]  # fmt: skip
