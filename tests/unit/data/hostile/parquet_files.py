"""Parquet by hand: what no writer would write. Headers say what they are told, true or not."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTE_ARRAY, FIXED = range(8)
REQUIRED, OPTIONAL, REPEATED = range(3)
PLAIN, RLE, DELTA_BYTES, RLE_DICTIONARY = 0, 3, 7, 8
DATA, INDEX, DICTIONARY, DATA_V2 = range(4)
NONE, SNAPPY, GZIP, ZSTD = 0, 1, 2, 6


class Long(int):
    """An integer that is an i64 in Thrift; plain ones are i32."""


def varint(number: int) -> bytes:
    """ULEB128."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def thrift(fields: Mapping[int, Any]) -> bytes:
    """A struct in Thrift's compact protocol: field number -> int, Long, bool, bytes, list or dict; None is left out."""
    out, last = b"", 0
    for number, value in sorted(fields.items()):
        if value is None:
            continue
        near = number - last < 16
        out += bytes([(number - last) << 4 | _kind(value)]) if near else bytes([_kind(value)]) + varint(number << 1)
        out += b"" if isinstance(value, bool) else _value(value)
        last = number
    return out + b"\0"


def _kind(value: Any) -> int:
    if isinstance(value, bool):
        return 1 if value else 2
    kinds: list[tuple[type, int]] = [(Long, 6), (int, 5), (bytes, 8), (list, 9), (dict, 12)]
    return next(kind for of, kind in kinds if isinstance(value, of))


def _value(value: Any) -> bytes:
    if isinstance(value, int):
        return varint(value << 1 if value >= 0 else (-value << 1) - 1)
    if isinstance(value, bytes):
        return varint(len(value)) + value
    if isinstance(value, dict):
        return thrift(value)
    kind = _kind(value[0]) if value else 12
    head = bytes([len(value) << 4 | kind]) if len(value) < 15 else bytes([0xF0 | kind]) + varint(len(value))
    return head + b"".join(map(_value, value))


def page(
    body: bytes, values: int, *, kind: int = DATA, encoding: int = PLAIN, unpacked: int | None = None, **more: Any
) -> bytes:
    """A page with its header; `unpacked` is what it claims to unfold to. `more` overrides fields: `f5={...}`."""
    part = {DATA: 5, DICTIONARY: 7, DATA_V2: 8, INDEX: 6}[kind]
    inner: dict[int, Any] = {1: values, 2: encoding}
    if kind == DATA:
        inner |= {3: RLE, 4: RLE}
    if kind == DATA_V2:
        inner = {1: values, 2: 0, 3: values, 4: encoding, 5: 0, 6: 0}
    header = {1: kind, 2: len(body) if unpacked is None else unpacked, 3: len(body), part: inner}
    return thrift(header | {int(name[1:]): value for name, value in more.items()}) + body


def runs(*pairs: tuple[int, int]) -> bytes:
    """Run-length codes of one byte at most: (count, value)."""
    return b"".join(varint(count << 1) + bytes([value]) for count, value in pairs)


def levels(*pairs: tuple[int, int]) -> bytes:
    """Repetition or definition levels of a version-1 page."""
    body = runs(*pairs)
    return struct.pack("<I", len(body)) + body


def texts(*values: bytes) -> bytes:
    """Byte arrays as PLAIN has them."""
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def element(name: str, **fields: Any) -> dict[int, Any]:
    """One element of a schema: `type`, `length`, `repetition`, `children`."""
    numbers = {"type": 1, "length": 2, "repetition": 3, "children": 5}
    return {4: name.encode(), **{numbers[key]: value for key, value in fields.items()}}


def parquet(
    pages: bytes,
    *,
    type: int = INT64,
    rows: int = 1,
    values: int | None = None,
    repetition: int = REQUIRED,
    codec: int = NONE,
    dictionary: int | None = None,
    length: int | None = None,
    schema: Sequence[dict[int, Any]] | None = None,
    column: Mapping[int, Any] | None = None,
    chunk: Mapping[int, Any] | None = None,
    footer: Mapping[int, Any] | None = None,
    magic: bytes = b"PAR1",
) -> bytes:
    """A file of one column `a`. `dictionary`: bytes of the first page, where that is a dictionary.

    `column`, `chunk` and `footer` override fields of those structs.
    """
    values = rows if values is None else values
    leaf = element("a", type=type, repetition=repetition) | ({2: length} if length is not None else {})
    where = {9: Long(4), 11: None} if dictionary is None else {9: Long(4 + dictionary), 11: Long(4)}
    size = Long(len(pages))
    meta = {1: type, 2: [PLAIN], 3: [b"a"], 4: codec, 5: Long(values), 6: size, 7: size, **where, **(column or {})}
    said: dict[int, Any] = {
        1: 1,
        2: [element("schema", children=1), leaf] if schema is None else list(schema),
        3: Long(rows),
        4: [{1: [{2: Long(4), 3: meta, **(chunk or {})}], 2: size, 3: Long(rows)}],
        **(footer or {}),
    }
    told = thrift(said)
    return b"PAR1" + pages + told + struct.pack("<I", len(told)) + magic


def counting(first: int, step: int, count: int) -> bytes:
    """`first`, `first + step`, ... in DELTA_BINARY_PACKED: blocks of 128 differences, none of which needs a bit."""
    blocks = -(-(count - 1) // 128)
    return varint(128) + varint(4) + varint(count) + varint(first << 1) + (varint(step << 1) + b"\0\0\0\0") * blocks


TEXT = [element("schema", children=1), element("a", type=BYTE_ARRAY, repetition=REQUIRED) | {6: 0}]
"""The schema of one column of texts."""


def growing(count: int) -> bytes:
    """Each text is the one before and a letter more: 1, 2, ..., `count` letters."""
    body = counting(0, 1, count) + counting(1, 0, count) + b"x" * count
    return parquet(page(body, count, encoding=DELTA_BYTES), type=BYTE_ARRAY, rows=count, schema=TEXT)
