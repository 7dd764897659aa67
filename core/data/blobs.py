"""Blobs: the bytes of one media file, wherever they are. Decoders open them; none knows what a path is.

A source gives a path in a cell (`core.data.media` finds the file below the roots), or the bytes' own place: a member of
a tar shard, a cell of a binary column.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from core.data.problems import SampleError


class Blob(Protocol):
    """Bytes that can be opened, seekable, any number of times."""

    def size(self) -> int:
        """Bytes. Raises OSError where there is no such thing any more."""

    def open(self) -> BinaryIO:
        """Open at the first byte; the caller closes. Raises OSError."""


@dataclass(frozen=True, slots=True)
class FileBlob:
    """A file of its own."""

    path: Path

    def size(self) -> int:
        """See `Blob.size`."""
        return self.path.stat().st_size

    def open(self) -> BinaryIO:
        """See `Blob.open`."""
        return self.path.open("rb")


@dataclass(frozen=True, slots=True)
class BytesBlob:
    """Bytes in memory."""

    content: bytes

    def size(self) -> int:
        """See `Blob.size`."""
        return len(self.content)

    def open(self) -> BinaryIO:
        """See `Blob.open`."""
        return io.BytesIO(self.content)


def blob_of(source: Path | bytes) -> Blob:
    """A new sample's file, as `decode_sample` is given it."""
    return BytesBlob(source) if isinstance(source, bytes) else FileBlob(source)


def digest_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and bytes of these files, in hex. Raises OSError."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def open_blob(blob: Blob, most_bytes: int) -> BinaryIO:
    """Open a media file of at most `most_bytes`. Raises SampleError."""
    try:
        size = blob.size()
        if size > most_bytes:
            raise SampleError("file.too_large", f"the file has {size} bytes; at most {most_bytes} are read")
        if size == 0:
            raise SampleError("file.truncated", "the file is empty")
        return blob.open()
    except OSError as error:
        raise SampleError("file.missing", error.strerror or "it cannot be opened") from error


@dataclass(frozen=True, slots=True)
class LoosePath:
    """A path that a source found in place of a file's bytes; where it leads is judged like any media path."""

    text: str


def media_cells(values: Iterable[object], missing: Iterable[bool]) -> list[str | Blob]:
    """The cells of a media column: blobs, and paths as text (empty where there is nothing)."""
    cells: list[str | Blob] = []
    for value, gone in zip(values, missing, strict=True):
        if gone or value is None:
            cells.append("")
        elif isinstance(value, LoosePath):
            cells.append(value.text)
        else:
            cells.append(cast("Blob", value))
    return cells
