"""Where decoded values are kept: in memory, or on disk where one modality's are too many for it.

What is on disk is a file without a name, mapped into memory: the kernel reads of it what a batch needs, and frees it
with the process, however that ends. The values are the same bits.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from core.data.modalities.base import MAX_STORE_BYTES, Floats, Raw, guard_store
from core.errors import DataError, Issue

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MOST_OF_FREE = 0.9
"""What one modality may take of the free disk: checkpoints and other jobs need some, too."""
_SEGMENT = 2**28


class Space:
    """The space of one job. `folder` None: there is memory alone, of a size that is fixed."""

    def __init__(self, folder: Path | None = None, memory_bytes: int = MAX_STORE_BYTES) -> None:
        """`memory_bytes`: what one modality may take before it goes to `folder`."""
        self._folder = folder
        self._memory = MAX_STORE_BYTES if folder is None else memory_bytes

    def is_on_disk(self, size: int) -> bool:
        """Whether a modality of `size` bytes is kept on disk."""
        return self._folder is not None and size > self._memory

    def guard(self, size: int, what: str, hint: str) -> None:
        """Refuse what would not fit in memory, where there is nothing else. Raises DataError `data.too_large`."""
        if self._folder is None:
            guard_store(size, what, hint)

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike, *, what: str, hint: str) -> Raw:
        """An array of zeros. Raises DataError: `data.too_large`, or where the disk is full, `data.disk_full`."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        self.guard(size, what, hint)
        if not self.is_on_disk(size):
            return np.zeros(shape, dtype=dtype)
        return np.frombuffer(self.mapped(size, size, what=what, hint=hint), dtype=dtype).reshape(shape)

    def mapped(self, size: int, total: int, *, what: str, hint: str) -> mmap.mmap:
        """`size` bytes of disk, for a modality that has `total` bytes by now. Raises DataError `data.disk_full`."""
        assert self._folder is not None
        free = shutil.disk_usage(self._folder).free
        if size > free * _MOST_OF_FREE:
            raise _disk_full(total, what, hint, f"{free / 2**30:.1f} GiB are free")
        with tempfile.TemporaryFile(dir=self._folder) as file:
            try:
                # All of it now: a disk that is full at the moment of a write into a mapping ends the process.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    for start in range(0, size, _SEGMENT):
                        file.write(bytes(min(_SEGMENT, size - start)))
                    file.flush()
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                raise _disk_full(total, what, hint, "there is no room for them") from error
            return mmap.mmap(file.fileno(), size)


class Shelf:
    """Arrays of any shapes, kept one by one: in memory as long as that lasts, then on disk."""

    def __init__(self, space: Space, what: str, hint: str) -> None:
        self._space = space
        self._what = what
        self._hint = hint
        self._total = 0
        self._segment: Floats = np.empty(0, dtype=np.float32)
        self._used = 0

    def keep(self, values: Floats) -> Floats:
        """The same values, wherever they are now. Raises DataError as `Space.zeros` does."""
        self._total += values.nbytes
        self._space.guard(self._total, self._what, self._hint)
        if not self._space.is_on_disk(self._total):
            return values
        if self._used + values.size > len(self._segment):
            size = max(_SEGMENT, values.nbytes)
            buffer = self._space.mapped(size, self._total, what=self._what, hint=self._hint)
            self._segment, self._used = np.frombuffer(buffer, dtype=np.float32), 0
        kept = self._segment[self._used : self._used + values.size].reshape(values.shape)
        kept[:] = values
        self._used += values.size
        return kept


def _disk_full(size: int, what: str, hint: str, why: str) -> DataError:
    detail = f"the decoded {what} take {size / 2**30:.1f} GiB on the worker's disk; {why}"
    hint = f"{hint}; or free the disk of the worker's state folder"
    issue = Issue(code="data.disk_full", detail=detail, hint=hint)
    return DataError(detail, code="data.disk_full", hint=hint, issues=(issue,))
