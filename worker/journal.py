"""Following a journal while it is being written."""

from __future__ import annotations

from pathlib import Path

from core.events import JournalEntry, decode


class JournalTail:
    """Reads the complete lines that were added since it last looked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self, limit_bytes: int = 1 << 20) -> list[JournalEntry]:
        """The next entries, roughly `limit_bytes` at most; empty when nothing was added.

        A line without its newline is still being written and waits. Raises pydantic's `ValidationError` for a line that
        is no entry.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                chunk = file.read(limit_bytes)
                if not chunk.endswith(b"\n"):
                    chunk += file.readline()
        except FileNotFoundError:
            return []
        whole = chunk[: chunk.rfind(b"\n") + 1]
        entries = [decode(line) for line in whole.splitlines()]
        self._offset += len(whole)
        return entries
