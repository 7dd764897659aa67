"""What the engine is doing, in numbers: one read transaction for all of them, so that they fit each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from core.jobs.state import JobStatus
from core.jobs.units import CHILD_CRASHED, WORKER_LOST
from core.persistence import Database
from core.persistence.engine import now
from core.persistence.repositories import CounterRepository
from core.persistence.repositories.counters import ATTEMPT_FAILURES, LEASES_EXPIRED, RETRIES
from core.persistence.repositories.figures import FigureRepository
from core.settings import EngineSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFigures:
    """The engine at one moment."""

    units: Mapping[tuple[str, str], int]
    """(queue, state) -> units that have not ended; `backoff`: ready, but resting after a failure."""
    oldest_ready_seconds: Mapping[str, float]
    """Queue -> how long the first of its ready units has been waiting."""
    jobs: Mapping[str, int]
    """Status -> jobs; every status is there."""
    workers: int
    """That are alive."""
    slots: int
    """Of these workers."""
    busy: int
    """Those that their units fill."""
    queue_workers: Mapping[str, int]
    """Queue -> living workers that listen on it; queues with units and without workers are there, with 0."""
    leases_expired: int
    attempt_failures: Mapping[str, int]
    """Reason -> attempts that ended badly, ever."""
    retries: Mapping[str, int]
    """Reason -> those of them that were followed by another attempt, ever."""


class FigureService:
    """Reads them. Thread-safe."""

    def __init__(self, database: Database, engine: EngineSettings) -> None:
        self._database = database
        self._engine = engine

    def read(self) -> EngineFigures:
        """The figures now. Raises SQLAlchemy's `DBAPIError`."""
        with self._database.read() as session:
            moment = now(session)
            figures = FigureRepository(session)
            units = figures.units(moment)
            jobs = figures.jobs()
            alive = figures.workers(moment - timedelta(seconds=self._engine.lease_seconds))
            busy = figures.held_by(alive)
            counted = CounterRepository(session).all()
        serving = Counter(queue for row in alive for queue in row.queues)
        return EngineFigures(
            units={(unit.queue, unit.state): unit.count for unit in units},
            oldest_ready_seconds={
                unit.queue: max(0.0, (moment - unit.oldest).total_seconds()) for unit in units if unit.state == "ready"
            },
            jobs={status.value: jobs.get(status.value, 0) for status in JobStatus},
            workers=len(alive),
            slots=sum(row.slots for row in alive),
            busy=busy,
            queue_workers={queue: serving[queue] for queue in {*serving, *(unit.queue for unit in units)}},
            leases_expired=counted.get((LEASES_EXPIRED, ""), 0),
            attempt_failures=_by_label(counted, ATTEMPT_FAILURES),
            retries=_by_label(counted, RETRIES),
        )

    def overdue(self, *, seconds: float) -> int:
        """Units whose lease ended more than `seconds` ago and that nobody has put back: no reaper runs."""
        with self._database.read() as session:
            return FigureRepository(session).overdue(now(session) - timedelta(seconds=seconds))


def _by_label(counted: Mapping[tuple[str, str], int], name: str) -> dict[str, int]:
    usual: Sequence[str] = (CHILD_CRASHED, WORKER_LOST)  # there from the start, so that a rate can be seen from 0
    return dict.fromkeys(usual, 0) | {label: value for (of, label), value in counted.items() if of == name}
