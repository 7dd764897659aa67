"""Journal lines: `JournalEntry` to and from one line of JSON."""

from __future__ import annotations

from core.events.types import JournalEntry


def encode(entry: JournalEntry) -> bytes:
    """One line, newline included. Floats that are not finite become `null` (RFC 8259 knows no NaN)."""
    return entry.model_dump_json().encode() + b"\n"


def decode(line: bytes) -> JournalEntry:
    """The inverse of `encode`; raises pydantic's `ValidationError` for a line that is no entry."""
    return JournalEntry.model_validate_json(line)
