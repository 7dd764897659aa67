"""Which video container a file is, by its first bytes, and whether it is whole by its own account.

FFmpeg guesses formats by contents and has demuxers for playlists, which open other files. So none is guessed: what is
not plainly one of these containers never reaches it.
"""

from __future__ import annotations

import io
from typing import IO

from core.data.problems import SampleError

_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free")
_MOST_BOXES = 10_000
_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"


def container_of(file: IO[bytes]) -> str:
    """FFmpeg's name of the demuxer: `mov` (MP4 and QuickTime), `matroska` (and WebM) or `avi`; the file is at its
    start again. Raises SampleError."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[4:8] in _BOXES:
        name, end = "mov", _end_of_boxes(file, size)
    elif head.startswith(_EBML):
        name, end = "matroska", _end_of_segment(file, size)
    elif head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        name, end = "avi", 8 + int.from_bytes(head[4:8], "little")
    else:
        raise SampleError("file.format", "not an MP4, QuickTime, Matroska, WebM or AVI")
    if end > size:
        raise SampleError("file.truncated", f"the file has {size} bytes of {end}")
    file.seek(0)
    return name


def _end_of_boxes(file: IO[bytes], size: int) -> int:
    """Where the last of an MP4's outermost boxes ends, by their headers."""
    place = 0
    for _ in range(_MOST_BOXES):
        if place > size:  # a place so far away cannot even be sought
            return place
        file.seek(place)
        head = file.read(16)
        if len(head) < 8:
            return place  # fewer than 8 bytes behind the last box are padding
        length = int.from_bytes(head[:4], "big")
        if length == 0:  # to the end of the file
            return size
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            raise SampleError("file.undecodable", "a box of it has no length")
        place += length
    raise SampleError("file.undecodable", f"it has more than {_MOST_BOXES} boxes")


def _end_of_segment(file: IO[bytes], size: int) -> int:
    """Where a Matroska's first segment ends; 0 where it does not say (a live recording)."""
    file.seek(4)
    header = _variable(file)
    if header is None:
        return 0
    if header > size:
        return header
    file.seek(header, io.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    length = _variable(file)
    return 0 if length is None else file.tell() + length


def _variable(file: IO[bytes]) -> int | None:
    """An EBML length: as many bytes as the first has leading zeros, and one more; all ones: unknown."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    more = 8 - first[0].bit_length()
    bits = 7 * (more + 1)
    value = int.from_bytes(first + file.read(more), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value
