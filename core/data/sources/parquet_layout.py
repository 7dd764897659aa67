"""What a Parquet file's columns unfold to, by its footer and page headers: judged before Arrow decodes anything.

A few bytes of run-length codes may stand for a billion values, and a page of zeros compresses a thousandfold. The
headers say how many values and how many bytes each page has; Arrow decodes no more than they say. They are read here
in Python, because Arrow's C++ ends the whole process on some damaged ones.
Source: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from core.data.sources.thrift import Compact, EndsEarlyError, Shape

MOST_FOOTER_BYTES = 64 * 2**20
_MOST_ELEMENTS = 10_000_000
_MOST_COLUMNS = 100_000
_MOST_CHUNKS = 200_000
_MOST_PAGES = 200_000
_DEEPEST = 16
_HEADER_BYTES, _MOST_HEADER_BYTES, _MOST_HEADER_ELEMENTS = 512, 2**20, 10_000

_BYTE_ARRAY, _FIXED = 6, 7
_WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8}
"""Bytes of a decoded value by physical type: boolean, int32, int64, int96, float, double."""
_FLOAT, _REPEATED = 4, 2
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_CODED, _DELTA_BYTES = (2, 8), 7
"""Encodings: by dictionary (two names of one), and texts as what they share with the one before."""
_MOST_RATIO, _FREE_BYTES = 32, 64 * 2**20
"""Texts in the delta coding may unfold to so many times their bytes in the file, beyond what is free."""
_OBJECT = 64
"""Bytes of a short Python text beside its characters."""
_LISTED = 40
"""Bytes of a text in a list, beside the text itself: levels, codes, places, references."""

_COLUMN: Shape = {
    1: ("type", "i32"),
    5: ("values", "i64"),
    7: ("bytes", "i64"),
    9: ("data", "i64"),
    11: ("dictionary", "i64"),
}
_FOOTER: Shape = {
    2: (
        "schema",
        [
            {
                1: ("type", "i32"),
                2: ("length", "i32"),
                3: ("repetition", "i32"),
                4: ("name", "binary"),
                5: ("children", "i32"),
            }
        ],
    ),
    3: ("rows", "i64"),
    4: (
        "groups",
        [
            {
                1: ("columns", [{1: ("elsewhere", "binary"), 3: ("column", _COLUMN), 8: ("crypto", {})}]),
                3: ("rows", "i64"),
            }
        ],
    ),
    8: ("encryption", {}),
}
_PAGE: Shape = {
    1: ("kind", "i32"),
    2: ("unpacked", "i32"),
    3: ("packed", "i32"),
    5: ("data", {1: ("values", "i32"), 2: ("encoding", "i32")}),
    7: ("dictionary", {1: ("values", "i32"), 2: ("encoding", "i32")}),
    8: ("data_v2", {1: ("values", "i32"), 4: ("encoding", "i32")}),
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A column as it is stored: `path` with dots, of the field `root`."""

    path: str
    root: str
    type: int
    length: int
    """Bytes of a value of fixed length."""
    repeated: bool
    """Whether it lies in a list, so that a row may have any number of values."""
    chunks: list[_Chunk]

    @property
    def texts(self) -> bool:
        """Whether its values are texts or bytes, of any length."""
        return self.type == _BYTE_ARRAY


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One leaf's pages in one row group: from `start` on, up to `end`."""

    start: int
    end: int
    values: int


@dataclass(slots=True)
class Cost:
    """What a leaf unfolds to."""

    bytes: int = 0
    """All of it, at most; of texts that are no list, as they are stored."""
    widest: int = 0
    """What a single text may unfold to beyond its own bytes in the file."""
    shared: bool = False
    """Whether it is read as codes and a dictionary, so that texts that are alike are never unfolded."""
    delta: bool = False
    """Whether texts are coded as what they share with the one before; that they are alike does not make them few."""

    def most(self, limit: int) -> int:
        """To how many bytes of texts it may unfold, where a page does not say."""
        return min(limit, _FREE_BYTES + _MOST_RATIO * self.bytes) if self.delta else limit


def read_layout(file: BinaryIO) -> list[Leaf]:
    """The leaves of a Parquet file. Raises ValueError for whatever is damaged, encrypted or too large."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    tail = file.read(8)
    if tail[4:] == b"PARE":
        raise ValueError("it is encrypted")
    length = int.from_bytes(tail[:4], "little")
    end = size - 8 - length
    if tail[4:] != b"PAR1" or end < 4:
        raise ValueError("it has no footer: it is no Parquet file, or is cut off")
    if length > MOST_FOOTER_BYTES:
        raise ValueError(f"its footer has {length} bytes; at most {MOST_FOOTER_BYTES} are read")
    file.seek(end)
    footer = Compact(file.read(length), elements=_MOST_ELEMENTS).struct(_FOOTER)
    if "encryption" in footer:
        raise ValueError("it is encrypted")
    leaves = _leaves(footer.get("schema", []))
    groups = footer.get("groups", [])
    if sum(group.get("rows", -1) for group in groups) != footer.get("rows") or len(groups) * len(leaves) > _MOST_CHUNKS:
        raise ValueError("its row groups do not have the rows that the footer says, or are too many")
    for group in groups if footer["rows"] else ():
        columns = group.get("columns", [])
        if len(columns) != len(leaves) or group["rows"] < 0:
            raise ValueError("a row group does not have the columns of the schema")
        for leaf, column in zip(leaves, columns, strict=True):
            leaf.chunks.append(_chunk(leaf, column, end))
    return leaves


def cost_of(file: BinaryIO, leaf: Leaf) -> Cost:
    """What a leaf's pages unfold to, by their headers. Raises ValueError."""
    cost = Cost(shared=leaf.texts)
    width = leaf.length if leaf.type == _FIXED else _WIDTHS.get(leaf.type, 0)
    if leaf.repeated and leaf.type != _FLOAT:
        width = max(8, width)  # numbers in lists become float64
    pages = 0
    for chunk in leaf.chunks:
        for kind, unpacked, values, encoding in _pages(file, chunk):
            pages += 1
            if pages > _MOST_PAGES:
                raise ValueError(f"the column {leaf.path!r} has more than {_MOST_PAGES} pages")
            if not leaf.texts:
                if unpacked > 2**16 + 2 * values * (width + 8):
                    raise ValueError(f"a page of {leaf.path!r} claims {unpacked} bytes for {values} values")
                cost.bytes += values * width
                continue
            coded = encoding in _CODED
            cost.bytes += unpacked
            if kind == _DICTIONARY:
                cost.bytes += values * _OBJECT
                cost.widest = max(cost.widest, unpacked)
                continue
            cost.shared = cost.shared and (coded or leaf.repeated)
            if leaf.repeated:
                each = _LISTED + (0 if coded else _OBJECT) + (unpacked if encoding == _DELTA_BYTES else 0)
                cost.bytes += values * each
            elif encoding == _DELTA_BYTES:
                cost.delta, cost.widest = True, max(cost.widest, unpacked)
    return cost


def _leaves(schema: Sequence[dict[str, Any]]) -> list[Leaf]:
    """Depth first, as the schema's elements are in the file."""
    if len(schema) > _MOST_COLUMNS or not schema:
        raise ValueError(f"its schema has {len(schema)} elements; 1 to {_MOST_COLUMNS} are read")
    leaves: list[Leaf] = []
    # Of each open group: how many children are still to come, its name, and whether it lies in a list.
    open_groups: list[tuple[int, tuple[str, ...], bool]] = [(schema[0].get("children", 0), (), False)]
    for element in schema[1:]:
        while open_groups and open_groups[-1][0] == 0:
            open_groups.pop()
        if not open_groups or len(open_groups) > _DEEPEST:
            raise ValueError(f"its schema is no tree, or deeper than {_DEEPEST}")
        left, names, repeated = open_groups.pop()
        open_groups.append((left - 1, names, repeated))
        names = (*names, element.get("name", b"").decode())
        repeated = repeated or element.get("repetition") == _REPEATED
        children = element.get("children", 0)
        if children < 0 or ("type" in element) == (children > 0):
            raise ValueError(f"the field {'.'.join(names)!r} is neither a column nor a group")
        if children:
            open_groups.append((children, names, repeated))
            continue
        length = element.get("length", 0)
        if element["type"] == _FIXED and not 0 < length < 2**20:
            raise ValueError(f"the values of {'.'.join(names)!r} have {length} bytes")
        leaves.append(Leaf(".".join(names), names[0], element["type"], length, repeated, []))
    if any(left for left, _, _ in open_groups):
        raise ValueError("its schema lacks fields")
    return leaves


def _chunk(leaf: Leaf, said: dict[str, Any], end: int) -> _Chunk:
    """Where the pages are, by the same rule as Arrow's: from the dictionary, where there is one before the data."""
    if said.get("elsewhere"):
        raise ValueError(f"the column {leaf.path!r} lies in another file")
    if "crypto" in said:
        raise ValueError(f"the column {leaf.path!r} is encrypted")
    column = said.get("column", {})
    start, length = column.get("data", -1), column.get("bytes", -1)
    if 0 < column.get("dictionary", 0) < start:
        start = column["dictionary"]
    if column.get("type") != leaf.type or column.get("values", -1) < 0 or start < 4 or not 0 <= length <= end - start:
        raise ValueError(f"the column {leaf.path!r} is not where the footer says")
    return _Chunk(start, start + length, column["values"])


def _pages(file: BinaryIO, chunk: _Chunk) -> Iterator[tuple[int, int, int, int]]:
    """Kind, unpacked bytes, values and encoding of every page of a chunk, up to the values that it has."""
    at, seen = chunk.start, 0
    while at < chunk.end and seen < chunk.values:
        said, length = _page(file, at, chunk.end)
        kind, unpacked, packed = said.get("kind", -1), said.get("unpacked", -1), said.get("packed", -1)
        at += length + packed
        if unpacked < 0 or packed < 0 or at > chunk.end:
            raise ValueError(f"a page ends at byte {at}, behind the column's end")
        part = {_DATA: "data", _DATA_V2: "data_v2", _DICTIONARY: "dictionary"}.get(kind)
        if part is None:  # an index: passed over, by Arrow too
            continue
        inner = said.get(part, {})
        values, encoding = inner.get("values", -1), inner.get("encoding", -1)
        if values < 0 or encoding < 0:
            raise ValueError("a page does not say how many values it has")
        if kind != _DICTIONARY:
            seen += values
        yield kind, unpacked, values, encoding


def _page(file: BinaryIO, at: int, end: int) -> tuple[dict[str, Any], int]:
    """A page's header and its length; more bytes are taken until it is whole."""
    size = _HEADER_BYTES
    while True:
        file.seek(at)
        data = file.read(min(size, end - at))
        reader = Compact(data, elements=_MOST_HEADER_ELEMENTS)
        try:
            return reader.struct(_PAGE), reader.at
        except EndsEarlyError:
            if size >= _MOST_HEADER_BYTES or len(data) < size:
                raise
            size *= 8
