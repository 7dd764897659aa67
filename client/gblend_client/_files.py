"""Where a download may lie, and the file it grows in. Blocking; knows nothing of HTTP."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gblend_client.errors import IntegrityError, InvalidInput

_CHUNK = 1024 * 1024
# Names that Windows takes for devices, drives or streams are refused everywhere: a download moves between machines.
_SEGMENT = re.compile(
    r"(?!(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))[^\x00-\x1f\x7f<>:\"/\\|?*]+(?<![. ])", re.IGNORECASE
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def target(dest: Path, name: str) -> Path:
    """The place of the artifact `name` below `dest`; `IntegrityError` for a name that would leave it."""
    segments = name.split("/")
    if not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise IntegrityError(f"the artifact name {name!r} is no safe file name; refused")
    path = dest.joinpath(*segments)
    root = dest.resolve()
    if not path.parent.resolve().is_relative_to(root):
        raise IntegrityError(f"the artifact {name!r} would lie outside {dest}: a symbolic link leads away; refused")
    return path


class PartFile:
    """A download in progress, beside its target. The name holds the digest, so it only resumes the same content."""

    def __init__(self, path: Path, *, size: int, sha256: str) -> None:
        if not _SHA256.fullmatch(sha256) or size < 0:
            raise IntegrityError(f"{path.name}: the service gives no usable size and sha256 for it")
        self.path = path
        self.size = size
        self._sha256 = sha256
        self._part = path.with_name(f".{path.name}.{sha256[:16]}.part")
        self._hash = hashlib.sha256()
        self._file: int | None = None
        self.have = 0
        """Bytes received so far."""

    def is_done(self) -> bool:
        """Whether the target already holds the wanted content."""
        if self.path.is_symlink() or not self.path.is_file() or self.path.stat().st_size != self.size:
            return False
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self._sha256

    def open(self) -> None:
        """Takes up what an earlier try left."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # O_NOFOLLOW: in a shared folder somebody else may have laid a link at a name that can be guessed.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        self._file = os.open(self._part, flags, 0o666)
        while chunk := os.read(self._file, _CHUNK):
            self._hash.update(chunk)
            self.have += len(chunk)
        if self.have > self.size:
            self.restart()

    def restart(self) -> None:
        """Throws away what was received."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._hash, self.have = hashlib.sha256(), 0

    def append(self, chunk: bytes) -> None:
        """More bytes; `IntegrityError` for more than there should be."""
        if self.have + len(chunk) > self.size:
            raise IntegrityError(f"{self.path.name}: the service sent more than the {self.size} bytes it announced")
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._fd, view) :]
        self._hash.update(chunk)
        self.have += len(chunk)

    def is_whole(self) -> bool:
        """Whether all bytes are there and are the right ones."""
        return self.have == self.size and self._hash.hexdigest() == self._sha256

    def finish(self) -> Path:
        """Moves the file to its place, in one step and durably."""
        os.fsync(self._fd)
        self.close()
        os.replace(self._part, self.path)
        return self.path

    def discard(self) -> None:
        """Removes what was received."""
        self.close()
        self._part.unlink(missing_ok=True)

    def close(self) -> None:
        """Leaves what was received for another try."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @property
    def _fd(self) -> int:
        if self._file is None:
            raise ValueError("the part file is not open")
        return self._file


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Turns what the file system refuses into `InvalidInput` that names the place."""
    try:
        yield
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror or error}") from error
