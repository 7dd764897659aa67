"""Files that are a part of another one: a member of a tar, a cell of an Arrow file. Read by seeking, where they lie."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class SpanBlob:
    """`length` bytes of a file from `offset` on."""

    path: Path
    offset: int
    length: int

    def size(self) -> int:
        """See `Blob.size`."""
        return self.length

    def open(self) -> BinaryIO:
        """See `Blob.open`."""
        return io.BufferedReader(_Window(self.path, self.offset, self.length))


class _Window(io.RawIOBase):
    """Some bytes of a file, as a file of their own."""

    def __init__(self, path: Path, offset: int, length: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._offset, self._length, self._at = offset, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        if start + offset < 0:
            raise OSError("a place before the first byte")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer)[: max(0, self._length - self._at)]
        self._file.seek(self._offset + self._at)
        count = self._file.readinto(view) or 0
        self._at += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
