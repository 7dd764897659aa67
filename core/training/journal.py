"""`events.jsonl`: what the run has told so far, numbered, durable, in complete lines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from core.errors import CheckpointError
from core.events import JobEvent, JournalEntry, encode

NAME = "events.jsonl"


class Journal:
    """Numbers events and appends them. An event is first staged, then (with the checkpoint that knows it) published.

    A checkpoint is written between the two. So an event that anyone has seen is in every later checkpoint, and one that
    a checkpoint knows of is published again by the run that resumes from it, under the same number.
    """

    def __init__(self, run_dir: Path, published: Sequence[bytes] = ()) -> None:
        self._path = run_dir / NAME
        self._published = 0
        self._staged: list[bytes] = []
        if published:
            self._staged = list(published)
            self.publish()

    @property
    def number(self) -> int:
        """Of the last event, staged ones included; 0 before the first."""
        return self._published + len(self._staged)

    @property
    def published(self) -> int:
        """How many events are in the file."""
        return self._published

    @property
    def staged(self) -> tuple[bytes, ...]:
        """The lines that are not in the file yet."""
        return tuple(self._staged)

    def stage(self, event: JobEvent) -> JournalEntry:
        """Gives an event the next number."""
        entry = JournalEntry(number=self.number + 1, event=event)
        self._staged.append(encode(entry))
        return entry

    def publish(self) -> None:
        """Appends what is staged and syncs."""
        with self._path.open("ab") as file:
            file.write(b"".join(self._staged))
            file.flush()
            os.fsync(file.fileno())
        self._published += len(self._staged)
        self._staged.clear()


def first_lines(run_dir: Path, count: int) -> list[bytes]:
    """The first `count` lines of a run's journal; `CheckpointError` where there are fewer."""
    path = run_dir / NAME
    lines = [] if not path.exists() else path.read_bytes().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n")]
    if len(whole) < count:
        raise CheckpointError(
            f"the journal has {len(whole)} events where the checkpoint needs {count}", code="checkpoint.journal"
        )
    return whole[:count]
