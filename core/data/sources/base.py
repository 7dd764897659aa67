"""What every source offers, the limits that keep memory bounded, and its errors."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.data.problems import not_checked, source_error
from core.data.split import Parts
from core.data.table import Column, ColumnHeader, Table

__all__ = ["Limits", "Source", "source_error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a source may cost, checked from its headers before memory is spent."""

    text_bytes: int = 256 * 2**20
    """Size of a csv, tsv or jsonl file."""
    array_bytes: int = 4 * 2**30
    """Uncompressed size of what is read from a parquet or npz file."""
    rows: int = 10_000_000
    files: int = 1_000_000
    """Files of a folder, or members of a data set's shards."""
    deadline: float | None = None
    """Of `time.monotonic`: after it, no further file is listed and no further header or text of a shard read."""

    def check_time(self) -> None:
        """Raises DataError `source.not_checked`, a warning, when the time is over: a slow disk is no wrong data set."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise not_checked("there are more files than could be looked at in the time that a request may take")

    fetched_bytes: int = 256 * 2**30
    """All files of a source that lies on an object store, known from its listing before anything is fetched."""
    fetched_now: int | None = None
    """Where it is more than this, the source is not looked at here (`source.not_checked`)."""
    fetch_seconds: float | None = None
    """Nor where listing and fetching it take longer."""
    store_seconds: float = 0.0
    """Where they may take as long as they do: for how long a store that is away is asked again."""


class Source(ABC):
    """An opened source. `headers` knows every column; `read` loads some of them."""

    def __init__(self, path: Path, base: Path, headers: Mapping[str, ColumnHeader], rows: int) -> None:
        self.path = path
        self.base = base
        """The folder that media paths are relative to."""
        self.headers = headers
        self.rows = rows
        self.id_column: str | None = None
        """The column that names the rows, where the source has names of its own."""
        self.files: tuple[Path, ...] = (path,)
        """The files (or the one folder) that hold the rows."""
        self.held: object = None
        """Keeps fetched files from being removed while the source is in use."""
        self.parts: Parts | None = None
        """The part of each row, where the source gives it."""
        self.costly: frozenset[str] = frozenset(name for name, header in headers.items() if header.kind == "array")
        """Columns that are loaded only where their contents are looked at."""

    @abstractmethod
    def read(self, names: Collection[str]) -> Table:
        """Load these columns; names that do not exist are left out. Raises DataError."""

    def digest(self) -> str:
        """SHA-256 of the file's bytes, in hex."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _table(self, columns: Mapping[str, Column]) -> Table:
        if any(len(column.values) != self.rows for column in columns.values()):
            raise source_error("source.malformed", f"the columns do not have the {self.rows} rows that the header says")
        return Table(columns, self.rows, self.id_column)
