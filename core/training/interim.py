"""Checkpoints between two events: what a crash in the middle of a long pass would lose otherwise.

They publish nothing and change no number; they only cost the time in which they are written.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from core.training import checkpoint
from core.training.journal import Journal
from core.training.printing import log
from core.training.session import Session


class InterimCheckpoints:
    """Writes one where the last checkpoint is `interval` seconds old, and where the run ends before its time."""

    def __init__(
        self,
        session: Session,
        journal: Journal | None,
        run_dir: Path,
        *,
        interval: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._journal = journal
        self._run_dir = run_dir
        self._interval = interval
        self._clock = clock
        self._since = clock()

    def begin_anew(self) -> None:
        """What was done is in a checkpoint, and the interval begins."""
        self._since = self._clock()

    def between_steps(self, stopping: bool) -> None:
        """Called after every step of a pass; `stopping`: it is the last one of this process."""
        # Several processes have several clocks; what one of them finds due, all of them write.
        if stopping or self._session.ranks.any(self._clock() - self._since >= self._interval):
            save(self._session, self._journal, self._run_dir)
            self.begin_anew()


def save(session: Session, journal: Journal | None, run_dir: Path) -> None:
    """A checkpoint of a run as it is now.

    Only the first of several processes has a journal, and writes; the others lend their part of the tensors, and their
    copy of the parameters to be compared.
    """
    session.compare_replicas()
    tensors = session.tensors()
    if journal is None:
        return
    path = checkpoint.save(
        run_dir, journal, identity=session.identity, counters=session.counters_json(), tensors=tensors
    )
    log.debug("checkpoint %s", path.name)
