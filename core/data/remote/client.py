"""What is asked of an object store, through fsspec: what lies in a folder, what an object is now, its bytes.

Credentials come from the environment of the process, as the store's own client reads them; no message repeats them.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.problems import UNAVAILABLE, not_checked, source_error
from core.data.remote.outage import is_outage
from core.errors import DataError, GblendError
from core.public_text import public_text

_VERSIONS = ("ETag", "etag", "generation", "md5Hash", "LastModified", "updated", "mtime")
"""What tells two versions of an object apart, the best first: no two stores call it the same."""
_OPTIONS: dict[str, dict[str, Any]] = {
    # s3fs tries again by itself: an endpoint that is not there is to be known within seconds, not minutes.
    "s3": {"config_kwargs": {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 1}}},
}


log = logging.getLogger(__name__)

_FIRST_REST, _LONGEST_REST = 0.5, 15.0
"""Seconds until a store that is away is asked again."""


@dataclass(frozen=True, slots=True)
class Stat:
    """One version of an object."""

    size: int
    version: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies directly in a folder, by name."""

    files: Mapping[str, Stat]
    folders: frozenset[str]


class Client:
    """One store. Thread-safe.

    Raises DataError `source.backend` (the package is missing), `source.unreadable` (denied), `source.unavailable`
    (away, also after it was asked again for `patience` seconds) and, where it takes longer than `seconds`,
    `source.not_checked`; FileNotFoundError for what is not there.
    """

    def __init__(self, scheme: str) -> None:
        try:
            self._filesystem: Any = _kind_of(scheme)(use_listings_cache=False, **_OPTIONS.get(scheme, {}))
        except ImportError as error:
            hint = f"pip install 'gblend[{scheme}]'" if scheme in ("s3", "gs") else str(error)
            detail = f"no package is installed here that speaks {scheme}://"
            raise source_error("source.backend", detail, hint=hint) from None

    def listing(self, url: str, *, seconds: float | None = None, patience: float = 0.0) -> Listing:
        """What lies in a folder; nothing where there is none."""
        path = _path(url)
        try:
            found = self._insist("ls", url, detail=True, seconds=seconds, patience=patience)
        except (FileNotFoundError, NotADirectoryError):
            found = []
        files: dict[str, Stat] = {}
        folders: set[str] = set()
        for info in found:
            full = str(info["name"])
            name = full.rstrip("/").removeprefix(f"{path}/")
            if not name or "/" in name or not full.startswith(f"{path}/"):
                continue  # the folder's own marker, or the object that bears the folder's name
            if info["type"] == "directory" or full.endswith("/"):
                folders.add(name)
            else:
                files[name] = _stat(info)
        return Listing(files, frozenset(folders))

    def stat(self, url: str, *, seconds: float | None = None, patience: float = 0.0) -> Stat:
        """The object as it is now."""
        return _stat(self._insist("info", url, seconds=seconds, patience=patience))

    def download(self, url: str, target: Path, *, seconds: float | None = None, patience: float = 0.0) -> None:
        """Its bytes, into a new file."""
        self._insist("get_file", url, str(target), seconds=seconds, patience=patience)

    def _insist(
        self, what: str, url: str, *arguments: Any, seconds: float | None, patience: float, **named: Any
    ) -> Any:
        """Ask; of a store that is away again, after longer and longer rests. With `seconds` somebody waits: once."""
        end = time.monotonic() + (patience if seconds is None else 0.0)
        rest = _FIRST_REST
        while True:
            try:
                with _told(url, seconds):
                    return self._ask(what, _path(url), *arguments, seconds=seconds, **named)
            except DataError as error:
                if error.code != UNAVAILABLE or time.monotonic() + rest > end:
                    raise
                log.warning("%s; it is asked again in %g s", error.detail, rest)
            time.sleep(rest)
            rest = min(2 * rest, _LONGEST_REST)

    def _ask(self, what: str, *arguments: Any, seconds: float | None, **named: Any) -> Any:
        from fsspec.asyn import sync

        if seconds is not None and seconds <= 0:
            raise TimeoutError
        return sync(self._filesystem.loop, getattr(self._filesystem, f"_{what}"), *arguments, timeout=seconds, **named)


def client_of(url: str) -> Client:
    """The store that a URL names; one client per process, never carried over a fork."""
    return _client(url.partition("://")[0], os.getpid())


@functools.lru_cache(maxsize=8)
def _client(scheme: str, _: int) -> Client:
    return Client(scheme)


def _kind_of(scheme: str) -> Any:
    if scheme == "gs":  # the one that fsspec knows would first ask, over gRPC, what kind of bucket it is
        from gcsfs.core import GCSFileSystem

        return GCSFileSystem
    import fsspec

    return fsspec.get_filesystem_class(scheme)


def _path(url: str) -> str:
    return url.partition("://")[2].rstrip("/")


def _stat(info: Mapping[str, Any]) -> Stat:
    version = next((f"{name}={info[name]}" for name in _VERSIONS if info.get(name)), "")
    return Stat(int(info["size"]), version)


@contextmanager
def _told(url: str, seconds: float | None) -> Iterator[None]:
    """Turns what a store's client raises into ours; FileNotFoundError passes. Nothing is chained: a traceback would
    show the cause's own text."""
    try:
        yield
    except (GblendError, FileNotFoundError, NotADirectoryError):
        raise
    except TimeoutError as error:  # fsspec's is one
        if seconds is None:
            raise _away(url, error) from None
        raise not_checked("the object store takes too long to answer") from None
    except PermissionError:
        raise source_error(
            "source.unreadable",
            f"the object store refuses access to {url!r}",
            hint="the operator gives the credentials in the environment of API and workers the right to list and read",
        ) from None
    except Exception as error:  # noqa: BLE001 - botocore's errors, aiohttp's and others have no common base
        if is_outage(error):
            raise _away(url, error) from None
        raise source_error(
            "source.unreadable",
            f"the object store does not give {url!r}: {public_text(error)[:500]}",
            hint="are its address and credentials in the environment of API and workers?",
        ) from None


def _away(url: str, error: BaseException) -> DataError:
    return source_error(
        UNAVAILABLE,
        f"the object store does not answer for {url!r}: {public_text(error)[:500]}",
        hint="try again later; if it stays so, are its address and credentials in the environment of API and workers?",
    )
