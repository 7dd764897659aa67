"""Looking on while things break: who changes after its end, and who outlives its worker."""

from __future__ import annotations

import threading
import time
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.persistence import Database
from tests.chaos.fleet import Fleet
from tests.chaos.invariants import TERMINAL
from tests.chaos.processes import parent_of

ORPHAN_SECONDS = 5.0
_EVERY_SECONDS = 0.5
_ENDED = text(
    "SELECT id, status, finished_at, last_seq, result, error FROM job "
    f"WHERE status IN ({', '.join(repr(state) for state in TERMINAL)})"
)


class EndWatch:
    """Remembers every job's end as it was first seen."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, tuple[Any, ...]] = {}
        self.problems: list[str] = []

    def look(self) -> None:
        """Compare with the last time. A database that is away is asked again later."""
        try:
            with self._database.read() as session:
                rows = session.execute(_ENDED).all()
        except DBAPIError:
            return
        found = {row.id: tuple(str(value) for value in row[1:]) for row in rows}
        for job_id, was in self._seen.items():
            now = found.get(job_id)
            if now != was:
                self.problems.append(f"{job_id} had ended as {was[:3]} and is now {now[:3] if now else 'gone'}")
        self._seen |= found

    @property
    def ended(self) -> int:
        """How many jobs have ended."""
        return len(self._seen)


class OrphanWatch:
    """Finds training processes whose worker is gone and that live on."""

    def __init__(self, fleet: Fleet, *, patience: float = ORPHAN_SECONDS) -> None:
        self._fleet = fleet
        self._patience = patience
        self._since: dict[int, float] = {}
        self.problems: list[str] = []

    def look(self) -> None:
        """One look."""
        children, workers, moment = self._fleet.children(), self._fleet.worker_pids(), time.monotonic()
        alone = {pid for pid in children if parent_of(pid) not in workers}
        for pid in set(self._since) - alone:
            del self._since[pid]
        for pid in alone:
            since = self._since.setdefault(pid, moment)
            if moment - since > self._patience:
                self.problems.append(f"process {pid} trains {moment - since:.1f} s after its worker is gone")
                self._since[pid] = float("inf")  # said once


class Watching:
    """Both, in a thread of their own."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.ends = EndWatch(fleet.database)
        self.orphans = OrphanWatch(fleet)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="watching", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> list[str]:
        """End; what was wrong."""
        self._stopping.set()
        self._thread.join(60)
        self.ends.look()
        return [*self.ends.problems, *self.orphans.problems]

    def _loop(self) -> None:
        try:
            while not self._stopping.wait(_EVERY_SECONDS):
                self._fleet.tend()
                self.ends.look()
                self.orphans.look()
        except Exception as error:  # noqa: BLE001 - a watch that died must fail the run, not go unnoticed
            self.orphans.problems.append(f"nobody looked on any more: {type(error).__name__}: {error}")
