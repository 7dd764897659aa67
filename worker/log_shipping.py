"""From `child.log` to the log that `GET /v1/jobs/{id}/logs` shows: batched, bounded, harmless to read.

A process that prints too much costs the database `limit` bytes and no more. What is beyond that stays in the file, and
the end of it still goes into the error report of an attempt that fails.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import structlog

from core.jobs.lease import Lease
from core.jobs.logs import CHUNK_BYTES, LogEnd, LogWriter
from core.logs import redact

log = structlog.stdlib.get_logger(__name__)

SHIP_SECONDS = 1.0
"""Between two batches of a process that still runs."""
_READ_BYTES = 1 << 20
"""The most that one transaction carries."""

# Everything that a terminal would obey or that PostgreSQL's text cannot hold; tabs and ends of lines stay.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class LogShipper:
    """Stores what is new in one attempt's `child.log`, under its lease.

    `ship` may be repeated after a database error: it stores the same chunks then, and each of them once.
    """

    def __init__(self, path: Path, lease: Lease, writer: LogWriter, *, limit: int) -> None:
        """`limit`: bytes per job, over all attempts."""
        self._path = path
        self._lease = lease
        self._writer = writer
        self._limit = limit
        self._offset = 0
        self._end: LogEnd | None = None
        self._pending: list[str] = []
        self._inside_line = False
        self._closed = limit == 0
        self._due = 0.0

    def ship(self, *, last: bool = False) -> None:
        """Store what is new, if a batch is due; with `last` everything there is, incomplete lines too.

        Raises `LeaseLostError` and SQLAlchemy's `DBAPIError`.
        """
        if self._closed and not self._pending:
            return
        if not (last or time.monotonic() >= self._due):
            return
        while self._ship_batch(last=last) and last:
            continue
        self._due = time.monotonic() + SHIP_SECONDS

    def _ship_batch(self, *, last: bool) -> bool:
        """Whether there was anything to store."""
        if not self._pending:
            raw = self._read(last=last)
            self._offset += len(raw)
            text = harmless(raw, end_line=last and (bool(raw) or self._inside_line))
            self._pending = self._bounded(text) if text else []
            if not self._pending:
                return False
        end = self._end_so_far()
        seq = self._writer.append(self._lease, self._pending, after=end.seq)
        self._end = LogEnd(seq=seq, bytes=end.bytes + sum(len(text.encode()) for text in self._pending))
        self._inside_line = not self._pending[-1].endswith("\n")
        self._pending = []
        return not self._closed

    def _end_so_far(self) -> LogEnd:
        if self._end is None or self._lease.part:  # other units of the job may have written meanwhile
            self._end = self._writer.end(self._lease)
        return self._end

    def _read(self, *, last: bool) -> bytes:
        """The next whole lines; an incomplete one only when it is the last, or already longer than a chunk."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                raw = file.read(_READ_BYTES)
        except OSError as error:
            log.warning("the training's log cannot be read", error=str(error))
            return b""
        if last and len(raw) < _READ_BYTES:
            return raw
        # A lone CR ends a line too (progress bars), unless its LF may be still to come.
        end = max(raw.rfind(b"\n"), raw.rfind(b"\r", 0, max(0, len(raw) - 1))) + 1
        if end or len(raw) < CHUNK_BYTES:
            return raw[:end]
        return raw[: _whole_characters(raw)]

    def _bounded(self, text: str) -> list[str]:
        """`text` in chunks, cut off where the job's log is full. More than `limit` bytes mean: it has been said."""
        room = self._limit - self._end_so_far().bytes
        if room < 0:
            self._closed = True
            return []
        data = text.encode()
        if len(data) <= room:
            return chunks(text)
        self._closed = True
        kept = data[:room].decode(errors="ignore")
        said = f"[the log of this job has reached its limit of {self._limit} bytes; what follows is not kept]\n"
        return chunks(f"{kept}\n{said}" if kept and not kept.endswith("\n") else f"{kept}{said}")


def harmless(raw: bytes, *, end_line: bool = False) -> str:
    """Printed bytes as text for every reader: ends of lines are LF, no control characters, no passwords of URLs."""
    text = raw.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    text = redact(_CONTROLS.sub(_REPLACEMENT, text))
    return f"{text}\n" if end_line and not text.endswith("\n") else text


def chunks(text: str) -> list[str]:
    """`text` in pieces of at most `CHUNK_BYTES` (UTF-8), split at ends of lines; a longer line is split inside."""
    found: list[str] = []
    data = text.encode()
    while data:
        piece = data[:CHUNK_BYTES]
        if len(data) > CHUNK_BYTES:
            end = piece.rfind(b"\n") + 1
            piece = piece[: end or _whole_characters(piece)]
        found.append(piece.decode())
        data = data[len(piece) :]
    return found


def _whole_characters(data: bytes) -> int:
    """How much of `data` is left without a UTF-8 character that its end cuts in two; all, where it is no UTF-8."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0b1100_0000 == 0b1000_0000:  # inside of a character
            continue
        length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
        return len(data) - back if length > back else len(data)
    return len(data)
