"""Media files to values, one at a time, in this process or in others (`core.data.decoding`): the same function either
way, so that values, digests and problems are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from core.data.blobs import Blob, open_blob
from core.data.modalities.base import Raw, hashed
from core.data.problems import SampleError

Recipe = dict[str, Any]
"""How the files of one modality are decoded: JSON, with the modality's `type`."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of one file: its values, or what is wrong with it."""

    digest: bytes
    """SHA-256; empty where the file could not even be opened."""
    values: Raw | None = None
    error: SampleError | None = None
    rate: int = 0
    """Of a sound: the file's own samples a second."""


DecodeFile = Callable[[Blob, Recipe], Decoded]
Numbered = tuple[int, Blob]
"""A row, and its file."""


class Files(Protocol):
    """Who decodes."""

    def each(self, recipe: Recipe, files: Sequence[Numbered]) -> Iterator[tuple[int, Decoded]]:
        """Every file's row and what became of it, in any order. Raises DataError where nothing can be decoded here."""


class InTurn:
    """Decodes in this process, one file after the other."""

    def __init__(self, decode: DecodeFile) -> None:
        self._decode = decode

    def each(self, recipe: Recipe, files: Sequence[Numbered]) -> Iterator[tuple[int, Decoded]]:
        """See `Files.each`; in the order that is given."""
        for row, blob in files:
            yield row, self._decode(blob, recipe)


def decoded(blob: Blob, most_bytes: int, decode: Callable[[BinaryIO], tuple[Raw, int]]) -> Decoded:
    """Open, hash and decode one file of at most `most_bytes`; `decode` gives values and a rate, or SampleError."""
    digest = b""
    try:
        with open_blob(blob, most_bytes) as file:
            digest = hashed(file)
            values, rate = decode(file)
    except SampleError as error:
        return Decoded(digest, error=error)
    return Decoded(digest, values, rate=rate)


def numbered(blobs: Iterable[Blob | None]) -> list[Numbered]:
    """The files that there are, with their rows."""
    return [(row, blob) for row, blob in enumerate(blobs) if blob is not None]
