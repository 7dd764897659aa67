"""Features on disk: a folder per model and way of reading, in it files of vectors with the digests of their samples.

    <folder>/<key>/<name>.npy      float32 [n, D]
    <folder>/<key>/<name>.json     {"samples": [hex digests], "sha256": of the .npy}; written after it

A file appears whole under its name or not at all, synced to the disk, and is trusted only if its checksum is right: a
damaged one is removed, and its features are computed again. Several processes may read and write at once. What one that
was killed in the middle of a write has left is removed by the next that computes.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from core.data.modalities.base import Floats

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
"""How often one who waits for another's lock looks again."""
MOST_BYTES = 20 * 2**30
"""What is kept where the operator says nothing."""


class FeatureCache:
    """The features of one machine. `most_bytes`: what is left after a write; the least recently used go first."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def find(self, key: str, digests: Collection[bytes]) -> dict[bytes, Floats]:
        """Those of the samples that are known, as float32 `[D]`."""
        found: dict[bytes, Floats] = {}
        for index in sorted((self._folder / key).glob("*.json")):
            samples, sha256 = _index(index)
            places = {
                digest: place for place, digest in enumerate(samples) if digest in digests and digest not in found
            }
            vectors = _vectors(index, sha256) if places else None
            if vectors is not None and len(vectors) == len(samples):
                found |= {digest: np.array(vectors[place]) for digest, place in places.items()}
        return found

    @contextmanager
    def computing(self, key: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Of the processes of this machine one computes what belongs to a key; the others wait, and then find it.

        `waiting` is called again and again meanwhile.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / f"{key}.lock").open("wb")
        except OSError:  # read-only: everybody computes for himself
            yield
            return
        with lock:
            while not _locked(lock):  # the kernel lets it go when its process ends, however that ends
                waiting()
                time.sleep(_LOOK_SECONDS)
            _remove_left_overs(self._folder / key)
            yield

    def add(self, key: str, digests: Sequence[bytes], vectors: Floats) -> None:
        """Keep these; where the disk is full or read-only they are not kept, which a log line says."""
        folder = self._folder / key
        content = io.BytesIO()
        np.save(content, np.ascontiguousarray(vectors, dtype=np.float32), allow_pickle=False)
        name = hashlib.sha256(b"".join(digests)).hexdigest()[:32]
        told = {"samples": [digest.hex() for digest in digests], "sha256": _sha256(content.getvalue())}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / f"{name}.npy", content.getvalue())
            _write(folder / f"{name}.json", json.dumps(told).encode())
            _sync(folder)
            self._trim(keep=folder / f"{name}.json")
        except OSError as error:
            log.warning("features are not kept", extra={"error": str(error)})

    def _trim(self, keep: Path) -> None:
        """Remove the files that were used longest ago, until the others fit."""
        sizes: list[tuple[float, int, Path]] = []
        for index in self._folder.glob("*/*.json"):
            try:
                status, vectors = index.stat(), index.with_suffix(".npy").stat()
            except OSError:
                continue
            sizes.append((status.st_mtime, status.st_size + vectors.st_size, index))
        total = sum(size for _, size, _ in sizes)
        for _, size, index in sorted(sizes):
            if total <= self._most_bytes:
                return
            if index != keep:
                _remove(index)
                total -= size


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _index(path: Path) -> tuple[list[bytes], str]:
    """The samples that a file has the features of, and its checksum; none where that cannot be read."""
    try:
        told = json.loads(path.read_text())
        return [bytes.fromhex(digest) for digest in told["samples"]], str(told["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return [], ""


def _vectors(index: Path, sha256: str) -> Floats | None:
    try:
        content = index.with_suffix(".npy").read_bytes()
        if _sha256(content) != sha256:
            raise ValueError("its checksum is wrong")
        vectors: Floats = np.load(io.BytesIO(content), allow_pickle=False)
        os.utime(index)  # it is in use
        return vectors
    except FileNotFoundError:  # another process has made room meanwhile
        return None
    except (OSError, ValueError) as error:
        log.warning("kept features are damaged, and are computed again", extra={"error": str(error)})
        _remove(index)
        return None


def _remove(index: Path) -> None:
    index.unlink(missing_ok=True)
    index.with_suffix(".npy").unlink(missing_ok=True)


def _remove_left_overs(folder: Path) -> None:
    """Halves of files, and vectors that no index followed; nobody else writes here now."""
    try:
        for path in folder.glob("*"):
            if path.name.startswith(".") or (path.suffix == ".npy" and not path.with_suffix(".json").exists()):
                path.unlink(missing_ok=True)
    except OSError as error:  # another user's
        log.warning("left-overs of features stay", extra={"error": str(error)})


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    """Makes the names inside survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
