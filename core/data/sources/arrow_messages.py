"""An Arrow stream's messages, looked at before Arrow decodes any: how many rows there are, and that nothing unfolds.

A compressed buffer says itself how long it becomes, so that a few bytes may ask for any amount of memory; whether there
are any stands in each message's metadata, a FlatBuffers table of which two fields are read here.
Source: https://github.com/apache/arrow/blob/main/format/Message.fbs
"""

from __future__ import annotations

import struct
from typing import Any

from core.data.sources.base import Limits, source_error

_HEADER_TYPE, _HEADER = 1, 2
_DICTIONARY, _BATCH = 2, 3
_LENGTH, _COMPRESSION, _DICTIONARYS_BATCH = 0, 3, 1
_MOST_MESSAGES = 1_000_000
_TIMED = 256
"""Messages after which the clock is looked at."""


def rows_of(mapped: Any, name: str, limits: Limits) -> int:
    """Rows of all batches of a memory-mapped stream, which is left at its start. Raises DataError, and what Arrow
    raises of damaged streams."""
    import pyarrow as pa

    rows = 0
    mapped.seek(0)
    reader = pa.ipc.MessageReader.open_stream(mapped)
    for count in range(_MOST_MESSAGES):
        if count % _TIMED == 0:
            limits.check_time()
        try:
            message = reader.read_next_message()
        except StopIteration:
            mapped.seek(0)
            return rows
        rows += _rows_of_message(memoryview(message.metadata), name)
        if rows > limits.rows:
            detail = f"the data set has more than {limits.rows} rows"
            raise source_error("source.too_large", detail, hint="train on a part of it")
    raise ValueError(f"{name!r} has more than {_MOST_MESSAGES} messages")


def _rows_of_message(data: memoryview, name: str) -> int:
    """Rows of a batch; 0 of a schema or a dictionary."""
    message = _follow(data, 0)
    kind = _field(data, message, _HEADER_TYPE)
    header = _field(data, message, _HEADER)
    if kind is None or header is None:
        return 0
    what, batch = _read("<B", data, kind), _follow(data, header)
    if what == _DICTIONARY:
        inside = _field(data, batch, _DICTIONARYS_BATCH)
        if inside is None:
            return 0
        batch = _follow(data, inside)
    elif what != _BATCH:
        return 0
    if _field(data, batch, _COMPRESSION) is not None:
        raise source_error(
            "source.format",
            f"the file {name!r} has compressed buffers",
            hint="save the data set without compression; images and sounds are compressed as they are",
        )
    length = _field(data, batch, _LENGTH)
    rows = 0 if length is None or what == _DICTIONARY else _read("<q", data, length)
    if rows < 0:
        raise ValueError(f"a batch of {name!r} has {rows} rows")
    return rows


def _follow(data: memoryview, at: int) -> int:
    """Where the table is that an offset at this place leads to."""
    return at + _read("<I", data, at)


def _field(data: memoryview, table: int, number: int) -> int | None:
    """Where a field of a table is; None where it is left out."""
    index = table - _read("<i", data, table)
    slot = 4 + 2 * number
    if slot + 2 > _read("<H", data, index):
        return None
    offset = _read("<H", data, index + slot)
    return table + offset if offset else None


def _read(form: str, data: memoryview, at: int) -> int:
    if not 0 <= at <= len(data) - struct.calcsize(form):
        raise ValueError("a message leads out of itself")
    return int(struct.unpack_from(form, data, at)[0])
