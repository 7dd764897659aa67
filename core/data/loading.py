"""How a worker loads data: what its operator decides (`core.settings.DataSettings`), and no result depends on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FILE_SECONDS = 60.0
MEMORY_BYTES = 2 * 2**30
STORE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """By default everything happens in this process and its memory."""

    processes: int = 0
    """That decode media files; 0: this one does, one file after the other."""
    file_seconds: float = FILE_SECONDS
    """How long one file may take, where other processes decode."""
    memory_bytes: int = MEMORY_BYTES
    """What the decoded samples of one modality may take in memory before they go to `scratch`."""
    store_seconds: float = 0.0
    """For how long an object store that is away is asked again."""
    scratch: Path | None = None
    """A folder for what is too large for memory; None: there is none."""
