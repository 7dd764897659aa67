"""Finds the training process that hangs: its lease is renewed by us, so only what it writes tells that it moves."""

from __future__ import annotations

import time
from collections.abc import Callable

from worker.rundir import RunDirectory

_LOOK_SECONDS = 2.0


class Watchdog:
    """Looks at the journal's length and at `progress.json` every two seconds. `clock` is monotonic, in seconds."""

    def __init__(
        self, run: RunDirectory, patience_seconds: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`patience_seconds` 0: never finds anything."""
        self._run = run
        self._patience = patience_seconds
        self._clock = clock
        self._every = min(_LOOK_SECONDS, patience_seconds / 4)
        self._moved = self._looked = clock()
        self._seen = self._traces()

    def is_stalled(self) -> bool:
        """Whether nothing was written for longer than `patience_seconds`."""
        moment = self._clock()
        passed = moment - self._looked
        if not self._patience or passed < self._every:
            return False
        self._looked = moment
        traces = self._traces()
        if traces != self._seen or passed > self._patience / 2:  # we were suspended, and the child perhaps with us
            self._seen, self._moved = traces, moment
        return moment - self._moved > self._patience

    def _traces(self) -> tuple[int, bytes]:
        try:
            written = self._run.journal.stat().st_size
        except FileNotFoundError:
            written = 0
        try:
            return written, (self._run.path / "progress.json").read_bytes()
        except FileNotFoundError:
            return written, b""
