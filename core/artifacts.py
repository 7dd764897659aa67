"""ArtifactStore: files that jobs leave behind, on anything fsspec speaks (a folder, S3, GCS).

A stored file is named by its key (`jobs/<job id>/<fence>/<name>`), never by a path of the server: a database that is
moved to another store stays right, and a client learns nothing about the machine.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from core.errors import ArtifactError, NotFoundError

_CHUNK = 1 << 20
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._\-]*(?:/[A-Za-z0-9_][A-Za-z0-9._\-]*)*")


class ArtifactStore:
    """Stores and serves files below one fsspec URL. Thread-safe as far as the file system is."""

    def __init__(self, url: str) -> None:
        filesystem, root = fsspec.core.url_to_fs(url)
        self._filesystem: Any = filesystem
        self._root = str(root).rstrip("/")
        self._local = isinstance(filesystem, LocalFileSystem)

    def put(
        self,
        source: Path,
        key: str,
        *,
        size: int,
        sha256: str,
        on_chunk: Callable[[], None] | None = None,
    ) -> str:
        """Store `source` under `key` and return the key. `on_chunk` is called after every mebibyte.

        The file appears under its key only whole and only if it has this size and hex digest; otherwise `ArtifactError`
        (`artifact.mismatch`). Storing a key again replaces the file.
        """
        final = self._path(key)
        written = f"{final}.{secrets.token_hex(4)}.partial"
        try:
            self._filesystem.makedirs(final.rpartition("/")[0], exist_ok=True)
            found_size, found_sha256 = self._copy(source, written, on_chunk)
            if (found_size, found_sha256) != (size, sha256):
                raise ArtifactError(
                    f"{source.name} has {found_size} bytes with sha256 {found_sha256}, "
                    f"not the {size} bytes with sha256 {sha256} that were announced",
                    code="artifact.mismatch",
                )
            self._filesystem.mv(written, final)
        except OSError as error:
            raise ArtifactError(f"{key} could not be stored: {error}") from error
        finally:
            if self._filesystem.exists(written):
                self._filesystem.rm(written)
        return key

    def open(self, key: str) -> BinaryIO:
        """The stored file, seekable, for reading; `NotFoundError` (`artifact.not_found`) where it is gone."""
        try:
            return cast(BinaryIO, self._filesystem.open(self._path(key), "rb"))
        except FileNotFoundError as error:
            raise NotFoundError(f"{key} is not in the store", code="artifact.not_found") from error
        except OSError as error:
            raise ArtifactError(f"{key} could not be read: {error}") from error

    def delete_below(self, prefix: str) -> None:
        """Remove every file whose key begins with `prefix` + `/`. Nothing there is fine."""
        path = self._path(prefix)
        try:
            self._filesystem.rm(path, recursive=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ArtifactError(f"{prefix} could not be removed: {error}") from error

    def children(self, prefix: str) -> tuple[str, ...]:
        """The names directly below `prefix`, sorted."""
        path = self._path(prefix)
        self._filesystem.invalidate_cache(path)
        if not self._filesystem.exists(path):
            return ()
        return tuple(
            sorted(str(entry).rstrip("/").rpartition("/")[2] for entry in self._filesystem.ls(path, detail=False))
        )

    def _copy(self, source: Path, target: str, on_chunk: Callable[[], None] | None) -> tuple[int, str]:
        digest, size = hashlib.sha256(), 0
        with source.open("rb") as reader, self._filesystem.open(target, "wb") as writer:
            while chunk := reader.read(_CHUNK):
                writer.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                if on_chunk is not None:
                    on_chunk()
            if self._local:
                writer.flush()
                os.fsync(writer.fileno())
        return size, digest.hexdigest()

    def _path(self, key: str) -> str:
        if _KEY.fullmatch(key) is None:
            raise ArtifactError(
                f"{key!r} is not a key", code="artifact.key", hint="letters, digits, . _ - and / between"
            )
        return f"{self._root}/{key}"
