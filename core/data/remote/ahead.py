"""Downloads ahead of decoding: some threads fetch the files that will be opened next."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from core.data.blobs import Blob
from core.data.remote.files import RemoteBlob
from core.errors import GblendError

_THREADS = 8
_WINDOW = 256
"""Files ahead of the one opened last: more would fill the mirror with what is not needed yet."""


@contextmanager
def fetching_ahead(blobs: Sequence[Blob | None]) -> Iterator[Sequence[Blob | None]]:
    """The same blobs; those of an object store are fetched in their order, a bounded number ahead of the last that was
    opened, until the context is left. What cannot be fetched is told where it is opened."""
    if not any(isinstance(blob, RemoteBlob) for blob in blobs):
        yield blobs
        return
    fetcher = _Fetcher(blobs)
    threads = [threading.Thread(target=fetcher.run, name="fetch", daemon=True) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield [_Watched(blob, row, fetcher) if isinstance(blob, RemoteBlob) else blob for row, blob in enumerate(blobs)]
    finally:
        fetcher.stop()
        for thread in threads:
            thread.join()


@dataclass(frozen=True, slots=True)
class _Watched:
    blob: RemoteBlob
    row: int
    fetcher: _Fetcher

    def size(self) -> int:
        """See `Blob.size`."""
        return self.blob.size()

    def open(self) -> BinaryIO:
        """See `Blob.open`."""
        self.fetcher.reached(self.row)
        return self.blob.open()


class _Fetcher:
    def __init__(self, blobs: Sequence[Blob | None]) -> None:
        self._rows = iter([(row, blob) for row, blob in enumerate(blobs) if isinstance(blob, RemoteBlob)])
        self._changed = threading.Condition()
        self._reached = 0
        self._stopped = False

    def reached(self, row: int) -> None:
        """A file is opened."""
        with self._changed:
            self._reached = max(self._reached, row)
            self._changed.notify_all()

    def stop(self) -> None:
        """Begin no further download."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def run(self) -> None:
        """What each thread does."""
        while (blob := self._next()) is not None:
            try:
                blob.fetch()
            except OSError:  # gone, or this disk: who opens it sees the same
                continue
            except GblendError:  # the store refuses or is away: so it will be for the next
                self.stop()

    def _next(self) -> RemoteBlob | None:
        with self._changed:
            row, blob = next(self._rows, (0, None))
            self._changed.wait_for(lambda: self._stopped or row <= self._reached + _WINDOW)
            return None if self._stopped else blob
