"""How far a run is: a file for the supervisor, written a few times a second at most."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from core.events import Phase, Progress
from core.training.files import replace

NAME = "progress.json"
_INTERVAL = 0.5


class PreparationMeter:
    """Tells what is being done before the training begins. Called for each step; the caller proves that it advances.

    This is no event: what an attempt finds done already it does not tell, and events must be the same in all attempts.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        epochs: int,
        silent: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`silent`: another process writes the file. `clock` is monotonic, in seconds."""
        self._path = run_dir / NAME
        self._epochs = epochs
        self._silent = silent
        self._clock = clock
        self._written: float | None = None

    def __call__(self, doing: str) -> None:
        now = self._clock()
        if self._silent or (self._written is not None and now - self._written < _INTERVAL):
            return
        self._written = now
        progress = Progress(
            phase="encoding",
            percent=0.0,
            eta_seconds=None,
            super_epoch=None,
            epoch=0,
            epochs=self._epochs,
            step=0,
            steps=0,
            detail=doing,
            updated_at=time.time(),
        )
        replace(self._path, progress.model_dump_json().encode())


class Stopped(Exception):  # noqa: N818 - not an error: the run was asked to stop
    """Raised between two batches once a stop was asked for; the last checkpoint is what a later run goes on from."""


class ProgressMeter:
    """Counts processed samples against the plan; also the place where a run notices that it should stop."""

    def __init__(
        self,
        run_dir: Path,
        *,
        total: int,
        done: int,
        epochs: int,
        should_stop: Callable[[], bool],
        between_steps: Callable[[bool], None] = lambda _: None,
        silent: bool = False,
    ) -> None:
        """`between_steps` is called after each step of a pass that can be taken up again there; True: the run ends.
        `silent`: another process writes the file."""
        self._path = run_dir / NAME
        self._silent = silent
        self._total = max(total, 1)
        self._done = done
        self._since = done
        self._epochs = epochs
        self._should_stop = should_stop
        self._between_steps = between_steps
        self._started = time.monotonic()
        self._written = 0.0
        self.phase: Phase = "training"
        self.super_epoch: int | None = None
        self.epoch = 0

    def tick(self, samples: int) -> None:
        """`samples` more are done, in work that leaves no trace in the state: a run that was stopped does it again."""
        self._count(samples)
        if self._should_stop():
            self._between_steps(True)
            raise Stopped

    def step(self, samples: int) -> None:
        """`samples` more are done, and a later run can go on from here; raises `Stopped` if this one should end."""
        self._count(samples)
        stopping = self._should_stop()
        self._between_steps(stopping)
        if stopping:
            raise Stopped

    def _count(self, samples: int) -> None:
        self._done += samples
        now = time.monotonic()
        if now - self._written >= _INTERVAL:
            self._written = now
            self.write()

    def finish(self) -> None:
        """The run is complete. (Heads that lost their weight on the way were planned for, and cost nothing.)"""
        self._total = self._done
        self.write()

    def write(self) -> None:
        """Writes the file now."""
        if self._silent:
            return
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
