"""The members of a tar file, from its headers alone: names, places, sizes. Nothing is ever extracted.

Only plain files count; folders are passed over. Links, devices and sparse files have no place among samples and are
refused, as are names that would lead anywhere. Whatever a header claims is held against the file's real size first, and
extended headers are read up to a bound, so that memory follows the number of members, which has one too.
"""

from __future__ import annotations

import errno
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.data.sources.base import Limits, source_error
from core.data.uris import escaped, refusal

_BLOCK = tarfile.BLOCKSIZE
_MOST_EXTENDED, _MOST_EXTENDED_HEADERS = 2**16, 16
"""Bytes of an extended header, and how many there may be before a member."""
_HEADERS_PER_FILE = 4
"""Folders and extended headers count too."""
_TIMED = 256
"""Headers after which the clock is looked at."""
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_PASSED = (tarfile.DIRTYPE,)
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_UNSAFE = {
    tarfile.LNKTYPE: "a link", tarfile.SYMTYPE: "a link", tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe", tarfile.GNUTYPE_SPARSE: "a sparse file",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TarBlob:
    """The bytes of one member, read by seeking in the shard."""

    shard: Path
    offset: int
    length: int

    def size(self) -> int:
        """See `Blob.size`."""
        return self.length

    def open(self) -> BinaryIO:
        """See `Blob.open`."""
        return io.BufferedReader(_Window(self.shard, self.offset, self.length))


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


class OpenShard:
    """Reads whole members, one after the other, and opens a shard only when it is another one."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._file: BinaryIO | None = None

    def __enter__(self) -> OpenShard:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def read(self, blob: TarBlob) -> bytes:
        """The member's bytes. Raises OSError where the shard has fewer by now."""
        if self._file is None or self._path != blob.shard:
            if self._file is not None:
                self._file.close()
            self._path, self._file = blob.shard, blob.shard.open("rb")
        self._file.seek(blob.offset)
        raw = self._file.read(blob.length)
        if len(raw) < blob.length:
            raise OSError(errno.EIO, "the shard has become shorter")
        return raw


def members(path: Path, limits: Limits) -> Iterator[tuple[str, TarBlob]]:
    """The plain files of a tar, in order: name and bytes. Raises DataError."""
    shard, end = path.name, path.stat().st_size
    headers = extended = 0
    with path.open("rb") as file:
        _check_plain(file.read(8), shard)
        at = 0
        said: dict[str, str] = {}  # what extended headers say of the next member: path, size
        while (info := _header(file, at, shard)) is not None:
            headers += 1
            if headers % _TIMED == 0:
                limits.check_time()
            if headers > _HEADERS_PER_FILE * limits.files:
                raise source_error("source.too_large", f"the shard {shard!r} has more than {headers - 1} headers")
            start, kind, name = at + _BLOCK, info.type, said.get("path", info.name)
            if kind not in (*_PLAIN, *_PASSED, *_EXTENDED):
                raise _unsafe(shard, name, _UNSAFE.get(kind, f"of the unknown type {kind!r}"))
            length = _number(said["size"], shard) if kind in _PLAIN and "size" in said else info.size
            if kind == tarfile.DIRTYPE:
                length = 0  # a folder has no bytes, whatever its header says
            if not 0 <= length <= end - start:
                raise _damaged(shard, f"the member {escaped(name)} claims {length} bytes, more than there are")
            at = start + -(-length // _BLOCK) * _BLOCK
            if kind in _PLAIN:
                yield _checked(name, shard), TarBlob(path, start, length)
            if kind in _EXTENDED:
                extended += 1
                if extended > _MOST_EXTENDED_HEADERS:
                    raise _damaged(shard, f"more than {_MOST_EXTENDED_HEADERS} extended headers for one member")
                said |= _extended(file, kind, start, length, shard)
            else:
                extended, said = 0, {}


def _header(file: BinaryIO, at: int, shard: str) -> tarfile.TarInfo | None:
    """The header at a place; None at the end mark."""
    file.seek(at)
    block = file.read(_BLOCK)
    if len(block) == _BLOCK and not any(block):
        return None
    if len(block) < _BLOCK:
        raise _damaged(shard, "it ends without an end mark: it is cut off")
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        raise _damaged(shard, f"no header at byte {at}: {error}") from error


def _extended(file: BinaryIO, kind: bytes, start: int, length: int, shard: str) -> dict[str, str]:
    """What an extended header says of the next member."""
    if length > _MOST_EXTENDED:
        raise _damaged(shard, f"an extended header of {length} bytes; at most {_MOST_EXTENDED} are read")
    file.seek(start)
    raw = file.read(length)
    if kind == tarfile.GNUTYPE_LONGLINK:
        return {}
    if kind == tarfile.GNUTYPE_LONGNAME:
        return {"path": raw.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    records = _pax_records(raw, shard)
    if any(key.startswith("GNU.sparse") for key in records):
        raise _unsafe(shard, records.get("GNU.sparse.name", records.get("path", "")), "a sparse file")
    told = {key: value for key, value in records.items() if key in ("path", "size")}
    if kind == tarfile.XGLTYPE and told:
        raise _damaged(shard, "a global header names a path or a size")
    return told


def _pax_records(raw: bytes, shard: str) -> dict[str, str]:
    """Records `<length> <key>=<value>\\n` (POSIX.1-2001), the length counting itself."""
    records: dict[str, str] = {}
    while raw:
        digits, space, _ = raw.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
        record = raw[len(digits) + 1 : length]
        key, equals, value = record.partition(b"=")
        if not space or not equals or not record.endswith(b"\n") or length > len(raw):
            raise _damaged(shard, "an extended header that cannot be read")
        records[key.decode("utf-8", "surrogateescape")] = value[:-1].decode("utf-8", "surrogateescape")
        raw = raw[length:]
    return records


def _number(text: str, shard: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise _damaged(shard, f"an extended header with the size {text[:30]!r}")
    return int(text)


def _checked(name: str, shard: str) -> str:
    reason = refusal(name)
    if reason is None:
        return name
    shown = escaped(name)
    raise source_error(
        "source.forbidden",
        f"the member {shown} of {shard!r} is refused: {reason}",
        hint="names are relative, without '..', backslashes or control characters; nothing is ever extracted",
        examples=(shown,),
    )


def _check_plain(start: bytes, shard: str) -> None:
    kind = next((kind for magic, kind in _COMPRESSED.items() if start.startswith(magic)), None)
    if kind is not None:
        raise source_error(
            "source.format",
            f"the shard {shard!r} is compressed ({kind}): its members cannot be read by seeking",
            hint="decompress it; jpg, flac and the like are compressed as they are",
        )


def _unsafe(shard: str, name: str, what: str) -> Exception:
    return source_error(
        "source.unsafe_member",
        f"the member {escaped(name)} of {shard!r} is {what}; only plain files are read",
        hint="write the shard again with plain files alone",
        examples=(escaped(name),),
    )


def _damaged(shard: str, reason: str) -> Exception:
    return source_error(
        "source.malformed", f"the shard {shard!r} cannot be read: {reason}", hint="is it a complete, plain tar file?"
    )
