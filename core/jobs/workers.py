"""The workers' registry: each process says that it is there; people and submissions ask who is.

Nothing depends on it but what is shown: a job is safe by its lease, whatever the registry says.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from core.errors import NotFoundError
from core.jobs.service import DEFAULT_PROJECT
from core.jobs.views import Page
from core.jobs.worker_views import WorkerFacts, WorkerState, WorkerView
from core.persistence import Database, schema
from core.persistence.engine import now
from core.persistence.ids import new_id
from core.persistence.orm import WorkerRow
from core.persistence.repositories import WorkerRepository
from core.settings import EngineSettings

_FORGET_AFTER = timedelta(days=1)


class WorkerService:
    """The registry. Thread-safe; every method is one transaction."""

    def __init__(self, database: Database, engine: EngineSettings) -> None:
        self._database = database
        self._engine = engine

    # The worker's side

    def register(self, facts: WorkerFacts) -> str:
        """Enter a worker that starts; returns its id. Raises `SchemaError` where it must not start on this database.

        Forgets those that were not heard of for a day.
        """
        with self._database.write() as session:
            schema.check(session)
            moment = now(session)
            workers = WorkerRepository(session)
            workers.forget(moment - _FORGET_AFTER)
            worker_id = new_id("wrk", moment)
            workers.add(_row(worker_id, facts, moment))
            return worker_id

    def beat(self, worker_id: str, facts: WorkerFacts) -> None:
        """The worker is alive. Raises `SchemaError` where the schema has moved on under it.

        One that the registry has forgotten (it was out of reach for a day) is entered again under its id.
        """
        with self._database.write() as session:
            schema.check(session)
            moment = now(session)
            workers = WorkerRepository(session)
            if not workers.beat(worker_id, moment):
                workers.add(_row(worker_id, facts, moment))

    def stop(self, worker_id: str) -> None:
        """The worker has ended in good order."""
        with self._database.write() as session:
            WorkerRepository(session).stop(worker_id, now(session))

    # Looking

    def list_workers(
        self, *, project: str = DEFAULT_PROJECT, after: str | None = None, limit: int = 100
    ) -> Page[WorkerView]:
        """Newest first; the cursor `after` is the id of the last worker of the page before."""
        with self._database.read() as session:
            rows = WorkerRepository(session).page(after=after, limit=limit)
            data = self._views(session, rows[:limit], project)
        return Page(data=data, has_more=len(rows) > limit, next_after=data[-1].id if data else None)

    def get(self, worker_id: str, *, project: str = DEFAULT_PROJECT) -> WorkerView:
        """One worker; `NotFoundError` (`worker.not_found`)."""
        with self._database.read() as session:
            row = WorkerRepository(session).get(worker_id)
            if row is None:
                raise NotFoundError(f"there is no worker {worker_id!r}", code="worker.not_found")
            return self._views(session, [row], project)[0]

    def served_queues(self) -> dict[str, tuple[int, ...]]:
        """The queues that at least one living worker listens on -> the slots of each."""
        with self._database.read() as session:
            return WorkerRepository(session).queues_of_living(self._lost_before(now(session)))

    def unserved(self) -> dict[str, int]:
        """Queue -> units that are ready there and that no living worker could take, because none listens or has so
        many slots; queues without such units are left out."""
        found: Counter[str] = Counter()
        with self._database.read() as session:
            workers = WorkerRepository(session)
            served = workers.queues_of_living(self._lost_before(now(session)))
            for queue, devices, count in workers.waiting():
                if devices > max(served.get(queue, ()), default=0):
                    found[queue] += count
        return dict(found)

    def _lost_before(self, moment: datetime) -> datetime:
        return moment - timedelta(seconds=self._engine.lease_seconds)

    def _views(self, session: Session, rows: Sequence[WorkerRow], project: str) -> tuple[WorkerView, ...]:
        lost_before = self._lost_before(now(session))
        busy: defaultdict[str, int] = defaultdict(int)
        jobs: defaultdict[str, list[str]] = defaultdict(list)
        for worker_id, job_id, of_project in WorkerRepository(session).leased([row.id for row in rows]):
            busy[worker_id] += 1
            if of_project == project and job_id not in jobs[worker_id]:
                jobs[worker_id].append(job_id)
        return tuple(
            WorkerView(
                id=row.id,
                facts=WorkerFacts(
                    host=row.host,
                    pid=row.pid,
                    version=row.version,
                    queues=tuple(row.queues),
                    slots=row.slots,
                    gpus=tuple(row.gpus),
                ),
                state=_state(row, lost_before),
                busy=busy[row.id],
                jobs=tuple(jobs[row.id]),
                started_at=row.started_at,
                heartbeat_at=row.heartbeat_at,
                stopped_at=row.stopped_at,
            )
            for row in rows
        )


def _state(row: WorkerRow, lost_before: datetime) -> WorkerState:
    if row.stopped_at is not None:
        return WorkerState.STOPPED
    return WorkerState.LOST if row.heartbeat_at < lost_before else WorkerState.ALIVE


def _row(worker_id: str, facts: WorkerFacts, moment: datetime) -> WorkerRow:
    return WorkerRow(
        id=worker_id,
        host=facts.host,
        pid=facts.pid,
        version=facts.version,
        queues=list(facts.queues),
        slots=facts.slots,
        gpus=list(facts.gpus),
        started_at=moment,
        heartbeat_at=moment,
        stopped_at=None,
    )
