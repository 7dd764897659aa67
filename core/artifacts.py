"""ArtifactStore: files that jobs leave behind, on anything fsspec speaks (a folder, S3, GCS).

A stored file is named by its key (`jobs/<job id>/<fence>/<name>`), never by a path of the server: a database that is
moved to another store stays right, and a client learns nothing about the machine.

On a local file system a file is written beside its place, synced and renamed. An object store shows an object only when
its upload is completed, and a rename there is a copy: so it is written under its own key, and the upload is completed
only after size and digest were found right. What makes a file count is the row that names it, not its presence.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from core.errors import ArtifactError, GblendError, NotFoundError
from core.public_text import public_text

log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_PART_BYTES = 8 << 20
"""Of a multipart upload; S3 takes at most 10 000 parts, which makes 80 GB a file."""
_READ_AHEAD_BYTES = 4 << 20
"""What a remote file holds in memory while it is read; fsspec's own default for S3 is 50 MiB."""
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._\-]*(?:/[A-Za-z0-9_][A-Za-z0-9._\-]*)*")


class ArtifactStore:
    """Stores and serves files below one fsspec URL. Thread-safe; one per process, never carried over a fork.

    Raises `ArtifactError` where the store does not answer or refuses; its text names no secret. The constructor asks
    the store nothing. `artifact.backend` is raised there where the package that speaks the protocol is missing.
    """

    def __init__(self, url: str) -> None:
        with _told("the artifact store could not be opened"):
            try:
                # Other processes write to the same store: a listing that was remembered would hide what they did.
                filesystem, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
            except ImportError as error:
                raise _backend_missing(url.partition("://")[0], error) from None
        self._filesystem: Any = filesystem
        self._root = str(root).rstrip("/")
        self.is_local = isinstance(filesystem, LocalFileSystem)
        """Whether it is a folder of this machine (or one that is mounted like one)."""

    def put(
        self,
        source: Path,
        key: str,
        *,
        size: int,
        sha256: str,
        on_chunk: Callable[[], None] | None = None,
    ) -> str:
        """Store `source` under `key` and return the key. `on_chunk` is called after every mebibyte; a `GblendError`
        that it raises ends the upload and is passed on.

        The file appears under its key only whole and only if it has this size and hex digest; otherwise `ArtifactError`
        (`artifact.mismatch`). Storing a key again replaces the file.
        """
        final = self._path(key)
        expected = (size, sha256)
        with _told(f"{key} could not be stored"):
            if self.is_local:
                self._put_local(source, final, expected, on_chunk)
            else:
                self._put_object(source, final, expected, on_chunk)
        return key

    def get(
        self, key: str, target: Path, *, size: int, sha256: str, on_chunk: Callable[[], None] | None = None
    ) -> None:
        """Fetch a stored file into the new file `target`, synced.

        Raises `NotFoundError` (`artifact.not_found`), and `ArtifactError` (`artifact.mismatch`) where it is not the
        file that was stored; `target` is then not there.
        """
        with self.open(key) as reader, _told(f"{key} could not be read"):
            try:
                with target.open("xb") as writer:
                    found = _copy(reader, writer, on_chunk, limit=size)
                    writer.flush()
                    os.fsync(writer.fileno())
                _check(key, found, (size, sha256))
            except BaseException:
                target.unlink(missing_ok=True)
                raise

    def open(self, key: str) -> BinaryIO:
        """The stored file, seekable, for reading; `NotFoundError` (`artifact.not_found`) where it is gone."""
        with _told(f"{key} could not be read"):
            try:
                opened = self._filesystem.open(self._path(key), "rb", block_size=_READ_AHEAD_BYTES)
            except FileNotFoundError as error:
                raise NotFoundError(f"{key} is not in the store", code="artifact.not_found") from error
        return cast(BinaryIO, opened)

    def delete_below(self, prefix: str) -> None:
        """Remove every file whose key begins with `prefix` + `/`. Nothing there is fine."""
        path = self._path(prefix)
        with _told(f"{prefix} could not be removed"):
            try:
                self._filesystem.rm(path, recursive=True)
            except FileNotFoundError:
                return

    def children(self, prefix: str) -> tuple[str, ...]:
        """The names directly below `prefix`, sorted."""
        with _told(f"{prefix} could not be listed"):
            try:
                found = self._filesystem.ls(self._path(prefix), detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return ()
        return tuple(sorted(str(entry).rstrip("/").rpartition("/")[2] for entry in found))

    def _put_local(
        self, source: Path, final: str, expected: tuple[int, str], on_chunk: Callable[[], None] | None
    ) -> None:
        written = f"{final}.{secrets.token_hex(4)}.partial"
        os.makedirs(os.path.dirname(final), exist_ok=True)
        try:
            with source.open("rb") as reader, open(written, "xb") as writer:
                found = _copy(reader, writer, on_chunk)
                writer.flush()
                os.fsync(writer.fileno())
            _check(source.name, found, expected)
            os.replace(written, final)
        finally:
            Path(written).unlink(missing_ok=True)

    def _put_object(
        self, source: Path, final: str, expected: tuple[int, str], on_chunk: Callable[[], None] | None
    ) -> None:
        # Not as a context manager: leaving that completes the upload, whatever went wrong inside.
        writer = self._filesystem.open(final, "wb", block_size=_PART_BYTES, autocommit=False)
        try:
            with source.open("rb") as reader:
                found = _copy(reader, writer, on_chunk)
            _check(source.name, found, expected)
            writer.close()
            writer.commit()
        except BaseException:
            _discard(writer)
            raise
        stored = self._filesystem.info(final)["size"]
        if stored != expected[0]:
            raise ArtifactError(f"the store has {stored} bytes of {source.name}, not {expected[0]}")

    def _path(self, key: str) -> str:
        if _KEY.fullmatch(key) is None:
            raise ArtifactError(
                f"{key!r} is not a key", code="artifact.key", hint="letters, digits, . _ - and / between"
            )
        return f"{self._root}/{key}"


def _backend_missing(protocol: str, error: ImportError) -> ArtifactError:
    hint = "pip install 'gblend[s3]'" if protocol in ("s3", "s3a") else str(error)
    return ArtifactError(f"no package is installed here that speaks {protocol}://", code="artifact.backend", hint=hint)


def _copy(
    reader: BinaryIO, writer: Any, on_chunk: Callable[[], None] | None, *, limit: int | None = None
) -> tuple[int, str]:
    """Copies to the end; returns size and hex digest. Gives up behind `limit` bytes: the file is another one then."""
    digest, size = hashlib.sha256(), 0
    while (limit is None or size <= limit) and (chunk := reader.read(_CHUNK)):
        writer.write(chunk)
        digest.update(chunk)
        size += len(chunk)
        if on_chunk is not None:
            on_chunk()
    return size, digest.hexdigest()


def _check(name: str, found: tuple[int, str], announced: tuple[int, str]) -> None:
    if found != announced:
        raise ArtifactError(
            f"{name} has {found[0]} bytes with sha256 {found[1]}, "
            f"not the {announced[0]} bytes with sha256 {announced[1]} that were announced",
            code="artifact.mismatch",
        )


def _discard(writer: Any) -> None:
    """Ends an upload that is not to be. Where the store is away its parts stay there, until the store clears them."""
    try:
        writer.discard()
    except Exception as error:  # noqa: BLE001 - what ended the upload is what is told
        log.warning("an unfinished upload could not be discarded", extra={"error": public_text(error)})
    finally:
        writer.closed = True  # or the garbage collector would close it, which is to upload what is left


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turns what a store's client raises into `ArtifactError`; our own errors pass."""
    try:
        yield
    except GblendError:
        raise
    except Exception as error:  # noqa: BLE001 - botocore's errors, aiohttp's and others have no common base
        # Not chained: a traceback would show the cause's own text.
        raise ArtifactError(f"{what}: {public_text(error)}") from None
