"""Units that wait: which of them a worker may take, and who is told of them.

Every method is one transaction. A claim first locks the job, as every transaction that writes does, then takes the unit
by a conditional update, so that of many claims one gets it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from core.jobs.broker import WakeUp
from core.jobs.lease import Lease
from core.jobs.ledger import Ledger
from core.jobs.parts import NODE, estimates_of, head_of, node_of, part_name
from core.jobs.state import Action
from core.persistence import Database
from core.persistence.engine import now
from core.persistence.orm import JobRow
from core.persistence.repositories import JobRepository, UnitRepository
from core.settings import EngineSettings

_CLAIM_TRIES = 10
"""How often a claim looks again after another one was faster; a dispatcher announces what is then left."""
_POKES_PER_PASS = 100
"""The next units come first, so a long queue does not flood the broker with wake-ups nobody can act on."""


class UnitQueue:
    """Units as claims and dispatchers see them. Thread-safe."""

    def __init__(self, database: Database, engine: EngineSettings) -> None:
        self._database = database
        self._engine = engine

    # Taking

    def devices_of_next(self, queues: Collection[str], *, at_most: int) -> int | None:
        """The devices that the unit which is next (see `claim_next`) needs, of those that need `at_most` so many."""
        with self._database.read() as session:
            return UnitRepository(session).devices_of_next(queues, now(session), at_most)

    def claim_next(
        self, queues: Collection[str], owner: str, worker_id: str | None = None, *, devices: int | None = None
    ) -> Lease | None:
        """Take the ready unit of these queues that is next: the one with the highest priority, of equals the oldest;
        only one that needs no more `devices`, where that is given.

        `None` where none is ready. A wake-up only says that something is, so a worker that hears one asks for the best
        there is. Priorities are strict: what has less waits for as long as there is more. The one exception: a run of
        several workers waits, whatever its priority, while another run of its queue gathers its own. Of two that each
        hold some of the workers and wait for the rest, neither would begin.
        """
        for _ in range(_CLAIM_TRIES):
            with self._database.write() as session:
                jobs, moment = JobRepository(session), now(session)
                found = jobs.lock_next(queues, moment, devices) or jobs.lock_next_estimate(queues, moment, devices)
                if found is None:
                    return None
                lease = self._claim(session, *found, owner, worker_id)
            if lease is not None:
                return lease
        return None

    def claim(self, unit_id: str, owner: str, worker_id: str | None = None) -> Lease | None:
        """Take this very unit, whatever else waits; `None` where it is not ready (any more)."""
        with self._database.write() as session:
            job = JobRepository(session).lock_of_unit(unit_id)
            return None if job is None else self._claim(session, job, unit_id, owner, worker_id)

    # Telling

    def seconds_until_due(self) -> float | None:
        """How long until the next lease is over or the next unit has rested; `None` where neither is to come."""
        with self._database.read() as session:
            moment = now(session)
            due = UnitRepository(session).next_due(moment)
        return None if due is None else (due - moment).total_seconds()

    def take_due(self) -> Sequence[str]:
        """The ids alone of `take_wake_ups`."""
        return [wake_up.unit_id for wake_up in self.take_wake_ups()]

    def take_wake_ups(self) -> Sequence[WakeUp]:
        """The ready units that somebody should be told of, in the order of claims; marked as told."""
        with self._database.write() as session:
            moment = now(session)
            before = moment - timedelta(seconds=self._engine.redispatch_seconds)
            due = UnitRepository(session).poke(moment=moment, poked_before=before, limit=_POKES_PER_PASS)
            return [WakeUp(unit_id, queue) for unit_id, queue in due]

    def wake_ups_of(self, unit_ids: Collection[str]) -> Sequence[WakeUp]:
        """For those of the units that are ready."""
        with self._database.read() as session:
            return [WakeUp(unit_id, queue) for unit_id, queue in UnitRepository(session).ready_among(unit_ids)]

    def not_told(self, unit_id: str) -> None:
        """The wake-up could not be sent: let the next pass try again."""
        with self._database.write() as session:
            UnitRepository(session).forget_pokes([unit_id])

    def _claim(self, session: Session, job: JobRow, unit_id: str, owner: str, worker_id: str | None) -> Lease | None:
        """Take the unit of a job that the caller has locked; `None` where it is not ready, or may not be taken yet."""
        moment, rows = now(session), UnitRepository(session)
        if not rows.may_gather(unit_id):
            return None
        unit = rows.claim(
            unit_id, owner=owner, worker_id=worker_id, moment=moment, lease_until=self._lease_until(moment)
        )
        if unit is None:
            return None
        if unit.kind != NODE:  # a job that has helpers is at work already
            job.attempt = max(job.attempt, unit.attempt)
            Ledger(session, job, moment).move(Action.CLAIM, message=f"A worker took the job (attempt {unit.attempt})")
        limit = job.max_runtime_seconds
        return Lease(
            unit_id=unit.id,
            job_id=job.id,
            fence=unit.fence,
            owner=owner,
            attempt=unit.attempt,
            recorded=unit.recorded,
            spec=job.spec,
            retry_of=tuple(JobRepository(session).ancestors(job)),
            dataset_fingerprint=job.dataset_fingerprint,
            devices=unit.devices,
            runtime_left_seconds=None if limit is None else max(0.0, limit - job.run_seconds),
            part=part_name(unit),
            head=head_of(unit),
            estimates=estimates_of(unit),
            node=node_of(unit, job.spec),
        )

    def _lease_until(self, moment: datetime) -> datetime:
        return moment + timedelta(seconds=self._engine.lease_seconds)
