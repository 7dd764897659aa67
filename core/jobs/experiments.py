"""What the owner of an experiment can do: submit, look, compare, cancel, delete. Its jobs are ordinary jobs.

An experiment has no state of its own: its status is that of its jobs, so nothing can disagree with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from core.errors import ConflictError, Issue, NotFoundError
from core.jobs.broker import WakeUp
from core.jobs.comparison import Comparison, Outcome, compare
from core.jobs.experiment_views import ExperimentView
from core.jobs.lifecycle import delete_locked
from core.jobs.mapping import experiment_view, member_view
from core.jobs.service import DEFAULT_PROJECT, cancel_locked
from core.jobs.state import JobStatus
from core.jobs.submission import NewJob, WakeUps, check_key, check_same_body, digest_of, insert_jobs, once
from core.jobs.views import Page
from core.persistence import Database
from core.persistence.engine import now
from core.persistence.ids import new_id
from core.persistence.orm import ExperimentJobRow, ExperimentRow
from core.persistence.repositories import ExperimentRepository
from core.spec.experiment import ExperimentSpec, Variant

_OF_THE_JOB = "#/job"


class ExperimentService:
    """Experiments as their owners see them. Thread-safe. `announce` sends a wake-up for a unit id."""

    def __init__(
        self,
        database: Database,
        *,
        max_attempts: int = 5,
        max_pending: int = 0,
        announce: Callable[[WakeUp], None] | None = None,
    ) -> None:
        self._database = database
        self._max_attempts = max_attempts
        self._max_pending = max_pending
        self._wake_ups = WakeUps(database, announce)

    def submit(
        self,
        spec: ExperimentSpec,
        *,
        project: str = DEFAULT_PROJECT,
        idempotency_key: str | None = None,
        body_digest: str | None = None,
        warnings: Sequence[Issue] = (),
    ) -> tuple[ExperimentView, bool]:
        """Create the experiment and all its jobs in one transaction, or find what this key created: `(it, is it new)`.

        `warnings` point into the experiment's body. Raises as `JobService.submit` does, and pydantic's
        `ValidationError` where a strategy's changes do not give a job spec.
        """
        digest = body_digest or digest_of(spec.canonical())

        def create() -> ExperimentView:
            view, wake_ups = self._insert(spec, project, idempotency_key, digest, warnings)
            self._wake_ups.send(wake_ups)
            return view

        def replay(key: str) -> ExperimentView | None:
            return self.replay(key, project=project, body_digest=digest)

        return once(idempotency_key, replay, create)

    def replay(
        self, idempotency_key: str, *, project: str = DEFAULT_PROJECT, body_digest: str
    ) -> ExperimentView | None:
        """The experiment that this key created with this body; `None` for a fresh key. Keys of jobs are others."""
        check_key(idempotency_key)
        with self._database.read() as session:
            row = ExperimentRepository(session).by_idempotency_key(idempotency_key, project=project)
            if row is None:
                return None
            check_same_body(row, body_digest)
            return _whole(session, row)

    def get(self, experiment_id: str, *, project: str = DEFAULT_PROJECT) -> ExperimentView:
        """The experiment with its jobs; `NotFoundError` (`experiment.not_found`)."""
        with self._database.read() as session:
            return _whole(session, _existing(session, experiment_id, project))

    def list_experiments(
        self, *, project: str = DEFAULT_PROJECT, after: str | None = None, limit: int = 50
    ) -> Page[ExperimentView]:
        """Newest first, without their jobs; the cursor `after` is the id of the last one of the page before."""
        with self._database.read() as session:
            experiments = ExperimentRepository(session)
            rows = experiments.page(project=project, after=after, limit=limit)
            tallies = experiments.tallies([row.id for row in rows[:limit]])
            data = tuple(experiment_view(row, tallies[row.id]) for row in rows[:limit])
        return Page(data=data, has_more=len(rows) > limit, next_after=data[-1].id if data else None)

    def cancel(self, experiment_id: str, *, project: str = DEFAULT_PROJECT) -> ExperimentView:
        """Ask every job that has not ended to stop, in one transaction.

        Raises `ConflictError` (`experiment.state`) where all have ended, `NotFoundError`.
        """
        with self._database.write() as session:
            row = _existing(session, experiment_id, project)
            going = [
                job for job in ExperimentRepository(session).lock_jobs(row.id) if not JobStatus(job.status).is_terminal
            ]
            if not going:
                raise ConflictError(
                    "every job of this experiment has ended",
                    code="experiment.state",
                    hint="an experiment that has ended stays as it is; submit a new one",
                )
            moment = now(session)
            for job in going:
                cancel_locked(session, job, moment)
            session.flush()
            return _whole(session, row)

    def delete(self, experiment_id: str, *, project: str = DEFAULT_PROJECT) -> None:
        """Hide the experiment and all its jobs; a sweep (`core.jobs.retention`) removes what they left behind.

        Raises `ConflictError` (`experiment.state`) where a job has not ended, `NotFoundError`.
        """
        with self._database.write() as session:
            row = _existing(session, experiment_id, project)
            jobs = ExperimentRepository(session).lock_jobs(row.id)
            if not all(JobStatus(job.status).is_terminal for job in jobs):
                raise ConflictError(
                    "jobs of this experiment have not ended",
                    code="experiment.state",
                    hint="only what has ended can be deleted; cancel it first",
                )
            moment = now(session)
            ExperimentRepository(session).mark_deleted(row.id, moment)
            for job in jobs:
                delete_locked(job, moment)

    def comparison(
        self, experiment_id: str, *, project: str = DEFAULT_PROJECT, reference: str | None = None
    ) -> tuple[ExperimentView, Comparison]:
        """The experiment and what can be said of its strategies so far.

        Raises `NotFoundError`, and `SpecError` (`reference.unknown`) for a reference that is none of its strategies.
        """
        with self._database.read() as session:
            view = _whole(session, _existing(session, experiment_id, project))
            experiments = ExperimentRepository(session)
            results = experiments.results(experiment_id)
            weights = experiments.estimated_weights(experiment_id)
        outcomes = [
            Outcome(
                strategy=job.strategy,
                seed=job.seed,
                job_id=job.job_id,
                result=results.get(job.job_id),
                weights=weights.get(job.job_id, {}),
            )
            for job in view.jobs
        ]
        return view, compare(view.strategies, outcomes, reference=reference)

    def _insert(
        self,
        spec: ExperimentSpec,
        project: str,
        idempotency_key: str | None,
        digest: str,
        warnings: Sequence[Issue],
    ) -> tuple[ExperimentView, list[WakeUp]]:
        variants = spec.variants()
        new = [NewJob(spec=each.spec, body_digest=digest_of(each.spec.canonical())) for each in variants]
        with self._database.write() as session:
            moment = now(session)
            row = ExperimentRow(
                id=new_id("exp", moment),
                project=project,
                name=spec.name,
                spec=spec.resolved(),
                warnings=[issue.to_json() for issue in warnings],
                idempotency_key=idempotency_key,
                body_digest=digest,
                created_at=moment,
            )
            experiments = ExperimentRepository(session)
            experiments.add(row)  # first: of two requests with one key, the second one fails before it made any job
            jobs, wake_ups = insert_jobs(
                session,
                new,
                project=project,
                moment=moment,
                max_attempts=self._max_attempts,
                told=self._wake_ups.are_sent,
                max_pending=self._max_pending,
                warnings=[_for_a_job(issue) for issue in warnings],
            )
            experiments.add_members(_members(row.id, variants, [job.id for job in jobs]))
            return _whole(session, row), wake_ups


def _members(experiment_id: str, variants: Iterable[Variant], job_ids: Iterable[str]) -> list[ExperimentJobRow]:
    return [
        ExperimentJobRow(
            experiment_id=experiment_id, position=position, strategy=each.strategy, seed=each.seed, job_id=job_id
        )
        for position, (each, job_id) in enumerate(zip(variants, job_ids, strict=True))
    ]


def _for_a_job(issue: Issue) -> Issue:
    """The issue with its pointer into the job spec instead of the experiment's body."""
    if issue.pointer is None or not issue.pointer.startswith(f"{_OF_THE_JOB}/"):
        return issue
    return replace(issue, pointer=f"#{issue.pointer.removeprefix(_OF_THE_JOB)}")


def _whole(session: Session, row: ExperimentRow) -> ExperimentView:
    experiments = ExperimentRepository(session)
    jobs = tuple(member_view(member) for member in experiments.members(row.id))
    return experiment_view(row, experiments.tallies([row.id])[row.id], jobs)


def _existing(session: Session, experiment_id: str, project: str) -> ExperimentRow:
    row = ExperimentRepository(session).get(experiment_id, project=project)
    if row is None:
        raise NotFoundError(f"there is no experiment {experiment_id!r}", code="experiment.not_found")
    return row
