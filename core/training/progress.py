"""How far a run is: a file for the supervisor, written a few times a second at most."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from core.events import Phase, Progress
from core.training.files import replace

NAME = "progress.json"
_INTERVAL = 0.5


class Stopped(Exception):  # noqa: N818 - not an error: the run was asked to stop
    """Raised between two batches once a stop was asked for; the last checkpoint is what a later run goes on from."""


class ProgressMeter:
    """Counts processed samples against the plan; also the place where a run notices that it should stop."""

    def __init__(self, run_dir: Path, *, total: int, done: int, epochs: int, should_stop: Callable[[], bool]) -> None:
        self._path = run_dir / NAME
        self._total = max(total, 1)
        self._done = done
        self._since = done
        self._epochs = epochs
        self._should_stop = should_stop
        self._started = time.monotonic()
        self._written = 0.0
        self.phase: Phase = "training"
        self.super_epoch: int | None = None
        self.epoch = 0

    def tick(self, samples: int) -> None:
        """`samples` more are done; raises `Stopped` if the run should end here."""
        if self._should_stop():
            raise Stopped
        self._done += samples
        now = time.monotonic()
        if now - self._written >= _INTERVAL:
            self._written = now
            self.write()

    def times(self, heads: int) -> Callable[[int], None]:
        """A tick for a pass in which every sample goes through so many heads."""
        return lambda samples: self.tick(samples * heads)

    def finish(self) -> None:
        """The run is complete. (Heads that lost their weight on the way were planned for, and cost nothing.)"""
        self._total = self._done
        self.write()

    def write(self) -> None:
        """Writes the file now."""
        share = min(self._done / self._total, 1.0)
        advanced = self._done - self._since
        elapsed = time.monotonic() - self._started
        eta = (self._total - self._done) * elapsed / advanced if advanced > 0 else None
        progress = Progress(
            phase=self.phase,
            percent=round(100.0 * share, 2),
            eta_seconds=None if eta is None else round(max(eta, 0.0), 1),
            super_epoch=self.super_epoch,
            epoch=self.epoch,
            epochs=self._epochs,
            step=self._done,
            steps=self._total,
            updated_at=time.time(),
        )
        replace(self._path, progress.model_dump_json().encode())
