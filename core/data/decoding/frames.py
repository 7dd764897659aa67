"""Frames on a pipe: lengths, a JSON header, bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

_LENGTHS = struct.Struct(">IQ")


def frame(header: Mapping[str, Any], payload: bytes | memoryview = b"") -> bytes:
    """A header and its bytes, as they are sent."""
    text = json.dumps(header).encode()
    return b"".join((_LENGTHS.pack(len(text), len(payload)), text, payload))


class Frames:
    """Puts frames together again from what a pipe gives, piece by piece."""

    def __init__(self, most: int | None = None) -> None:
        """`most`: a frame that says it has more bytes is refused with ValueError."""
        self._buffer = bytearray()
        self._most = most

    def fed(self, piece: bytes) -> Iterator[tuple[dict[str, Any], bytearray]]:
        """The frames that are whole now that this piece has come."""
        self._buffer += piece
        while len(self._buffer) >= _LENGTHS.size:
            text, payload = _LENGTHS.unpack_from(self._buffer)
            if self._most is not None and text + payload > self._most:
                raise ValueError(f"a frame of {text + payload} bytes; at most {self._most} are taken")
            start, end = _LENGTHS.size + text, _LENGTHS.size + text + payload
            if len(self._buffer) < end:
                return
            header = json.loads(self._buffer[_LENGTHS.size : start])
            content = self._buffer[start:end]
            del self._buffer[:end]
            yield header, content
