"""Models of the hub on this disk: fetched once per commit, shared by all trainings of the machine.

    <folder>/<owner>--<name>.<commit>/            a model: whole from its first moment, never changed
    <folder>/<owner>--<name>.<commit>.part/       what has arrived of one
    <folder>/<owner>--<name>.<commit>.gone/       one that is being removed
    <folder>/<owner>--<name>.<commit>.lock        whoever uses the model shares this lock, until its process ends
    <folder>/fetching.lock                        one fetches or makes room at a time

Before a model is fetched the least recently used ones that nobody uses make room for it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from core.data.hub_access import HubAccess, check_allowed
from core.data.hub_files import HubFile, Repository
from core.spec.data import PretrainedEncoder

_LOOK_SECONDS = 0.2
"""How often one who waits for another's lock looks again."""


class Hub:
    """The models below one folder, for this process."""

    def __init__(
        self, access: HubAccess, doing: Callable[[str], None] = lambda text: None, *, rest_seconds: float = 1.0
    ) -> None:
        """`doing` is told again and again what is being done. `rest_seconds`: before the second try of a request."""
        self._access = access
        self._folder = Path(os.path.realpath(access.folder))
        self._doing = doing
        self._rest_seconds = rest_seconds
        self._held: dict[Path, IO[bytes]] = {}
        """Locks of the models that this process uses."""

    @property
    def folder(self) -> Path:
        """Where the models lie."""
        return self._folder

    def fetch(self, encoder: PretrainedEncoder, pointer: str, check: Callable[[Path], object]) -> Path:
        """The folder of the model, which stays until `close` or the end of this process.

        `check` is given a folder with all but the weights, before these are fetched; what it raises ends it. Raises
        DataError `encoder.*` and OSError.
        """
        check_allowed(encoder, self._access.allowed, pointer)
        assert encoder.hub is not None
        assert encoder.revision is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        place = self._folder / f"{encoder.hub.replace('/', '--')}.{encoder.revision}"
        while not self._hold(place):
            repository = Repository(
                self._access.endpoint, encoder.hub, encoder.revision, pointer, rest_seconds=self._rest_seconds
            )
            with self._alone(encoder.hub):
                if not place.is_dir():
                    self._download(repository, place, check)
        return place

    def close(self) -> None:
        """Let the models go before the process ends. May be repeated."""
        while self._held:
            self._held.popitem()[1].close()

    def _hold(self, place: Path) -> bool:
        """Keep the model from being removed, if it is there."""
        if place in self._held:
            return True
        lock = place.with_name(f"{place.name}.lock").open("ab")
        self._wait(lock, fcntl.LOCK_SH, f"the model {place.name} is being removed")
        if not place.is_dir():
            lock.close()
            return False
        self._held[place] = lock
        os.utime(place, ns=(time.time_ns(),) * 2)  # used just now; finer than the kernel's own clock for files
        return True

    @contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        with (self._folder / "fetching.lock").open("ab") as lock:
            self._wait(lock, fcntl.LOCK_EX, f"the model {what!r} waits: another process fetches one")
            yield

    def _wait(self, lock: IO[bytes], how: int, why: str) -> None:
        while not _locked(lock, how):
            self._doing(why)
            time.sleep(_LOOK_SECONDS)

    def _download(self, repository: Repository, place: Path, check: Callable[[Path], object]) -> None:
        self._doing(f"the model {repository.id!r} is looked up")
        files = repository.files(self._access.most_bytes)
        partial = place.with_name(f"{place.name}.part")
        partial.mkdir(exist_ok=True)
        self._make_room(sum(file.size for file in files), keep=partial)
        checked = False
        for number, file in enumerate(files, start=1):
            if file.name.endswith(".safetensors") and not checked:
                check(partial)
                checked = True
            if not (partial / file.name).exists():
                self._fetch(repository, file, partial / file.name, f"file {number} of {len(files)}")
        wanted = {file.name for file in files}
        for path in partial.iterdir():
            if path.name not in wanted:
                path.unlink()
        _sync(partial)
        partial.rename(place)
        _sync(self._folder)

    def _fetch(self, repository: Repository, file: HubFile, path: Path, which: str) -> None:
        there = 0

        def moved(more: int) -> None:
            nonlocal there
            there += more
            self._doing(f"the model {repository.id!r}: {which}, {there / 1e6:,.0f} of {file.size / 1e6:,.0f} MB")

        repository.fetch(file, path, moved)

    def _make_room(self, bytes_needed: int, keep: Path) -> None:
        """Remove what was used longest ago and is not in use, until so much fits."""
        others = [path for path in self._folder.iterdir() if path.is_dir() and path != keep]
        sizes = {path: sum(each.stat().st_size for each in path.iterdir()) for path in others}
        excess = sum(sizes.values()) + bytes_needed - self._access.most_bytes
        for path in sorted(others, key=lambda path: path.stat().st_mtime_ns):
            if excess <= 0:
                return
            if path.suffix in (".part", ".gone"):  # of those that fetch or remove there is one at a time: this one
                shutil.rmtree(path)
                excess -= sizes[path]
                continue
            with path.with_name(f"{path.name}.lock").open("ab") as lock:
                if path not in self._held and _locked(lock, fcntl.LOCK_EX):
                    gone = path.rename(path.with_name(f"{path.name}.gone"))  # never half there under its name
                    shutil.rmtree(gone)
                    excess -= sizes[path]


def _locked(lock: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _sync(folder: Path) -> None:
    """Makes the names inside survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
