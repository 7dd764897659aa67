"""The mirror: copies of remote objects on this disk, one per version, shared by all processes of the machine.

    objects/<2 hex>/<40 hex>/<name>    a copy; the digits are a hash of the object's URL, size and version
    partial/<hex>                      downloads under way
    leases/<hex>                       the copies that somebody needs to stay, while the file's lock is held
    locks/<2 hex>                      who fetches or removes a copy holds the lock of its first two digits

A copy is whole from its first moment: it is downloaded beside, its size and version are compared, and it is renamed. An
object that changes gets another copy, and the old one is removed when it has long not been used.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.data.problems import source_error
from core.data.remote.client import Client, Stat

_TRIES = 3
_ABANDONED_SECONDS = 86_400.0


class Lease:
    """Keeps copies from being removed for as long as it lives, or its process."""

    def __init__(self, folder: Path, paths: Iterable[Path]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = secrets.token_hex(16)
        made, path = folder / f".{name}", folder / name
        descriptor = os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with os.fdopen(os.dup(descriptor), "w") as file:
            file.writelines(f"{each.parent.name}\n" for each in paths)
        made.rename(path)  # locked before it can be seen
        self._finalizer = weakref.finalize(self, _let_go, descriptor, path)

    def release(self) -> None:
        """Let the copies go. May be repeated."""
        self._finalizer()


class Mirror:
    """The copies below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, url: str, stat: Stat) -> Path:
        """Where the copy of one version of an object is, or would be."""
        digest = hashlib.sha256(f"{url}\n{stat.size}\n{stat.version}".encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / "objects" / digest[:2] / digest[:40] / url.rpartition("/")[2]

    def hold(self, paths: Iterable[Path]) -> Lease:
        """Keep these copies, which need not be there yet."""
        return Lease(self._folder / "leases", paths)

    def fetch(
        self, url: str, stat: Stat, client: Client, *, seconds: float | None = None, patience: float = 0.0
    ) -> Path:
        """The copy of this version, downloaded where it is not there yet. Of an object that has changed since `stat`
        was taken the newer version is fetched, into the same copy's place as that version's listing would say.

        Raises FileNotFoundError where the object is gone, other OSErrors of this disk, DataError as `Client` does.
        """
        end = None if seconds is None else time.monotonic() + seconds
        for _ in range(_TRIES):
            path = self.place(url, stat)
            with self._locked(path.parent.name[:2]):
                if _size(path) == stat.size:
                    os.utime(path)  # used just now
                    return path
                partial = self._folder / "partial" / secrets.token_hex(16)
                partial.parent.mkdir(parents=True, exist_ok=True)
                try:
                    client.download(url, partial, seconds=_left(end), patience=patience)
                    found = client.stat(url, seconds=_left(end), patience=patience)
                    if found == stat and _size(partial) == stat.size:
                        path.parent.mkdir(parents=True, exist_ok=True)
                        _sync(partial)
                        partial.replace(path)
                        return path
                finally:
                    partial.unlink(missing_ok=True)
            stat = found
        raise source_error(
            "source.unreadable",
            f"{url!r} arrives cut off, or changes all the time",
            hint="is somebody writing it? Try again when it is complete",
        )

    def shrink(self, most_bytes: int) -> int:
        """Remove the copies that were not used for the longest time until the others take at most `most_bytes`, which
        those that are leased may exceed. Returns how many bytes were removed."""
        copies = sorted(self._copies())
        excess = sum(size for _, size, _ in copies) - most_bytes
        held = self._held() if excess > 0 else set()
        removed = 0
        for used, size, path in copies:
            if removed >= excess:
                break
            if path.parent.name in held:
                continue
            with self._locked(path.parent.name[:2]), suppress(FileNotFoundError):
                # Who took it meanwhile has touched it, under this lock.
                if path.stat().st_mtime_ns == used:
                    path.unlink()
                    path.parent.rmdir()
                    removed += size
        self._clear_partial()
        return removed

    def _copies(self) -> Iterator[tuple[int, int, Path]]:
        for path in self._folder.glob("objects/*/*/*"):
            with suppress(FileNotFoundError):
                found = path.stat()
                yield found.st_mtime_ns, found.st_size, path

    def _held(self) -> set[str]:
        """Names of the folders of copies whose leases live; leases of the dead are removed."""
        held: set[str] = set()
        for path in self._folder.glob("leases/[!.]*"):
            with suppress(FileNotFoundError), path.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    held.update(file.read().split())
                else:
                    path.unlink()
        return held

    def _clear_partial(self) -> None:
        for path in self._folder.glob("partial/*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    path.unlink()

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        folder = self._folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / name, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _let_go(descriptor: int, path: Path) -> None:
    path.unlink(missing_ok=True)
    os.close(descriptor)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _left(end: float | None) -> float | None:
    return None if end is None else end - time.monotonic()


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
