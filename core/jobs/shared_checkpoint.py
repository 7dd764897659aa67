"""A checkpoint in the artifact store, as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.jobs.lease import folder_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of a checkpoint."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCheckpoint:
    """A checkpoint whose files are in the store."""

    job_id: str
    fence: int
    """Of the lease under which it was written: the number of the attempt."""
    part: str = ""
    """`Lease.part` of that lease."""
    name: str
    """Opaque; names of one job sort as its run went on."""
    uri: str
    """The key of its folder."""
    files: tuple[StoredFile, ...]
    created_at: datetime | None = None
    """`None` before it is recorded."""

    head: str | None = None
    """The head whose estimate it is of; `None` for the run itself, and where nobody looked."""

    @property
    def folder(self) -> str:
        """`Lease.folder` of that lease."""
        return folder_of(self.part, self.fence)

    @property
    def bytes(self) -> int:
        """Of all its files."""
        return sum(file.bytes for file in self.files)
