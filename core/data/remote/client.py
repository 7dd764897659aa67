"""What is asked of an object store, through fsspec: what lies in a folder, what an object is now, its bytes.

Credentials come from the environment of the process, as the store's own client reads them; no message repeats them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.problems import source_error
from core.errors import DataError, GblendError, Issue
from core.public_text import public_text

_VERSIONS = ("ETag", "etag", "generation", "md5Hash", "LastModified", "updated", "mtime")
"""What tells two versions of an object apart, the best first: no two stores call it the same."""
_OPTIONS: dict[str, dict[str, Any]] = {
    # s3fs tries again by itself: an endpoint that is not there is to be known within seconds, not minutes.
    "s3": {"config_kwargs": {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 1}}},
}


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

    Raises DataError `source.backend` (the package is missing), `source.unreadable` (denied, away) and, where it takes
    longer than `seconds`, `source.not_checked`; FileNotFoundError for what is not there.
    """

    def __init__(self, scheme: str) -> None:
        import fsspec

        try:
            self._filesystem: Any = fsspec.filesystem(scheme, use_listings_cache=False, **_OPTIONS.get(scheme, {}))
        except ImportError as error:
            hint = "pip install 'gblend[s3]'" if scheme == "s3" else str(error)
            detail = f"no package is installed here that speaks {scheme}://"
            raise source_error("source.backend", detail, hint=hint) from None

    def listing(self, url: str, *, seconds: float | None = None) -> Listing:
        """What lies in a folder; nothing where there is none."""
        path = _path(url)
        try:
            with _told(url):
                found = self._ask("ls", path, detail=True, seconds=seconds)
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

    def stat(self, url: str, *, seconds: float | None = None) -> Stat:
        """The object as it is now."""
        with _told(url):
            return _stat(self._ask("info", _path(url), seconds=seconds))

    def download(self, url: str, target: Path, *, seconds: float | None = None) -> None:
        """Its bytes, into a new file."""
        with _told(url):
            self._ask("get_file", _path(url), str(target), seconds=seconds)

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


def _path(url: str) -> str:
    return url.partition("://")[2].rstrip("/")


def _stat(info: Mapping[str, Any]) -> Stat:
    version = next((f"{name}={info[name]}" for name in _VERSIONS if info.get(name)), "")
    return Stat(int(info["size"]), version)


def not_checked(reason: str) -> DataError:
    """No fault of the data: they are not looked at here and now, but by the worker."""
    issue = Issue(
        code="source.not_checked",
        severity="warning",
        detail=f"the data are not looked at before a worker has them: {reason}",
        hint="what is wrong with them will fail the job",
    )
    return DataError(issue.detail, code=issue.code, hint=issue.hint, issues=(issue,))


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Turns what a store's client raises into ours; FileNotFoundError passes."""
    try:
        yield
    except (GblendError, FileNotFoundError, NotADirectoryError):
        raise
    except TimeoutError:  # fsspec's is one
        raise not_checked("the object store takes too long to answer") from None
    except PermissionError:
        raise source_error(
            "source.unreadable",
            f"the object store refuses access to {url!r}",
            hint="the operator gives the credentials in the environment of API and workers the right to list and read",
        ) from None
    except Exception as error:  # noqa: BLE001 - botocore's errors, aiohttp's and others have no common base
        # Not chained: a traceback would show the cause's own text.
        raise source_error(
            "source.unreadable",
            f"the object store does not give {url!r}: {public_text(error)[:500]}",
            hint="does it answer, and are its address and credentials in the environment of API and workers?",
        ) from None
