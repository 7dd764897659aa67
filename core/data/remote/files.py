"""What the paths below a root stand for: files of this machine, or objects of a store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from core.data import uris
from core.data.blobs import Blob, FileBlob
from core.data.problems import not_checked, source_error
from core.data.remote.client import Client, Listing, Stat, client_of
from core.data.remote.mirror import Mirror

if TYPE_CHECKING:
    from core.data.sources.base import Limits

_TRIES = 3
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Fetched:
    """Files that can be opened, in the order asked for, and what keeps them there."""

    paths: tuple[Path, ...]
    held: object = None


class LocalFiles:
    """Files of this machine."""

    remote = False

    def is_file(self, path: Path) -> bool:
        """Whether there is a file."""
        return uris.is_file(path)

    def is_folder(self, path: Path) -> bool:
        """Whether there is a folder."""
        return uris.is_folder(path)

    def blob(self, path: Path) -> Blob | None:
        """The bytes of a file; None where there is none. Fetches nothing."""
        return FileBlob(path) if uris.is_file(path) else None

    def fetch(self, paths: Sequence[Path], limits: Limits, *, most: int | None = None) -> Fetched:
        """See `Shelf.fetch`: they are here."""
        return Fetched(tuple(paths))


@dataclass(frozen=True, slots=True)
class RemoteBlob:
    """An object: its size is known, its bytes are fetched when it is opened."""

    url: str
    stat: Stat
    mirror: Mirror
    client: Client
    patience: float = 0.0
    """For how many seconds a store that is away is asked again."""

    def size(self) -> int:
        """See `Blob.size`."""
        return self.stat.size

    def fetch(self) -> Path:
        """The copy in the mirror, as `Mirror.fetch` gives it."""
        return self.mirror.fetch(self.url, self.stat, self.client, patience=self.patience)

    def open(self) -> BinaryIO:
        """See `Blob.open`. Raises DataError, too, where the store does not give it."""
        for _ in range(_TRIES):
            path = self.fetch()
            try:
                return path.open("rb")
            except FileNotFoundError:  # removed from the mirror between the two
                continue
        raise FileNotFoundError(2, "it was removed from the mirror at once, each time", self.url)


class RemoteFiles:
    """Objects of a store. Folders are listed once each: make new ones for another look."""

    remote = True

    def __init__(self, name: str, root: Path, seconds: float | None, patience: float) -> None:
        """`name`: the URL prefix; `root`: the path that stands for it."""
        self._name, self._root, self._patience = name, root, patience
        # <mirror>/remote/<scheme>/<bucket>/...: as many parts as the prefix has, and two more.
        self._mirror = Mirror(root.parents[len(name.partition("://")[2].split("/")) + 1])
        self._end = None if seconds is None else time.monotonic() + seconds
        self._listings: dict[Path, Listing] = {}

    def is_file(self, path: Path) -> bool:
        """Whether there is a file."""
        return self._stat(path) is not None

    def is_folder(self, path: Path) -> bool:
        """Whether there is a folder: objects below it make it one."""
        listing = self.listing(path)
        return bool(listing.files or listing.folders)

    def blob(self, path: Path) -> Blob | None:
        """The bytes of a file; None where there is none. Fetches nothing."""
        stat = self._stat(path)
        if stat is None:
            return None
        return RemoteBlob(self._url(path), stat, self._mirror, client_of(self._name), self._patience)

    def fetch(self, paths: Sequence[Path], limits: Limits, *, most: int | None = None) -> Fetched:
        """See `Shelf.fetch`."""
        stats = {path: self._stat(path) for path in paths}
        known = {path: stat for path, stat in stats.items() if stat is not None}
        if len(known) < len(stats):
            raise FileNotFoundError(2, "it is gone")
        total = sum(stat.size for stat in known.values())
        largest = max((stat.size for stat in known.values()), default=0)
        if total > limits.fetched_bytes or (most is not None and largest > most):
            told, bound = (total, limits.fetched_bytes) if total > limits.fetched_bytes else (largest, most)
            raise source_error("source.too_large", f"it has {told} bytes; at most {bound} are fetched")
        if limits.fetched_now is not None and total > limits.fetched_now:
            raise not_checked(f"they have {total} bytes; at most {limits.fetched_now} are fetched for a look")
        places = [self._mirror.place(self._url(path), stat) for path, stat in known.items()]
        held = self._mirror.hold(places)
        client = client_of(self._name)
        copies = {
            path: self._mirror.fetch(self._url(path), stat, client, seconds=self._left(), patience=self._patience)
            for path, stat in known.items()
        }
        if list(copies.values()) != places:  # an object changed meanwhile
            held = self._mirror.hold(copies.values())
        return Fetched(tuple(copies[path] for path in paths), held)

    def listing(self, folder: Path) -> Listing:
        """What lies in a folder. Raises DataError."""
        if folder not in self._listings:
            client = client_of(self._name)
            self._listings[folder] = client.listing(self._url(folder), seconds=self._left(), patience=self._patience)
        return self._listings[folder]

    def _stat(self, path: Path) -> Stat | None:
        # The parent of the root is not ours to list; a longer name could not be kept here.
        if path == self._root or len(path.name.encode("utf-8", "surrogatepass")) > _LONGEST_NAME:
            return None
        return self.listing(path.parent).files.get(path.name)

    def _url(self, path: Path) -> str:
        below = path.relative_to(self._root).as_posix()
        return self._name if below == "." else f"{self._name}/{below}"

    def _left(self) -> float | None:
        return None if self._end is None else self._end - time.monotonic()


class Shelf:
    """One look at all roots: remembers what it has listed. Not thread-safe."""

    def __init__(self, roots: Mapping[str, Path], seconds: float | None = None, patience: float = 0.0) -> None:
        """A store is asked for at most `seconds` in all; where there is no such bound, one that is away is asked again
        for `patience` seconds, each time."""
        self._roots, self._seconds, self._patience = roots, seconds, patience
        self._local = LocalFiles()
        self._remote: dict[str, RemoteFiles] = {}
        self._is_mixed = any(map(uris.is_remote, roots))

    def at(self, path: Path) -> LocalFiles | RemoteFiles:
        """What there is below the root of a path that `resolve` gave."""
        found = uris.root_of(path, self._roots) if self._is_mixed else None
        if found is None or not uris.is_remote(found[0]):
            return self._local
        if found[0] not in self._remote:
            self._remote[found[0]] = RemoteFiles(*found, self._seconds, self._patience)
        return self._remote[found[0]]

    def fetch(self, paths: Sequence[Path], limits: Limits, *, most: int | None = None) -> Fetched:
        """Make the files of one source readable, of at most `most` bytes each. Raises DataError, `source.too_large`
        before anything is fetched; FileNotFoundError for one that is gone."""
        places = {id(files): files for files in map(self.at, paths)}
        if len(places) > 1:
            raise source_error("source.format", "the files lie below several roots", hint="put them below one")
        (files,) = places.values()
        return files.fetch(paths, limits, most=most)
