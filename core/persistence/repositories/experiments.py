"""Experiments: by id and project, by idempotency key, by page; and what they need to know of their jobs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from core.persistence.orm import ExperimentJobRow, ExperimentRow, JobRow, SuperEpochRow


class Member(NamedTuple):
    """One job of an experiment, without what only the job itself tells."""

    strategy: str
    seed: int
    job_id: str
    status: str
    progress: dict[str, Any] | None


class Tally(NamedTuple):
    """How many of an experiment's jobs have one status, and when they began and ended."""

    status: str
    jobs: int
    started_at: datetime | None
    finished_at: datetime | None


class ExperimentRepository:
    """Rows of `experiment` and `experiment_job`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, experiment_id: str, *, project: str) -> ExperimentRow | None:
        """The experiment, unless it is another project's."""
        query = select(ExperimentRow).where(
            ExperimentRow.id == experiment_id, ExperimentRow.project == project, ExperimentRow.deleted_at.is_(None)
        )
        return self._session.scalar(query)

    def by_idempotency_key(self, key: str, *, project: str) -> ExperimentRow | None:
        """The experiment that was created with this key."""
        query = select(ExperimentRow).where(ExperimentRow.project == project, ExperimentRow.idempotency_key == key)
        return self._session.scalar(query)

    def page(self, *, project: str, after: str | None, limit: int) -> Sequence[ExperimentRow]:
        """Newest first, from the one after `after` on; one row more than `limit` where there are more."""
        query = select(ExperimentRow).where(ExperimentRow.project == project, ExperimentRow.deleted_at.is_(None))
        if after is not None:
            query = query.where(ExperimentRow.id < after)
        return self._session.scalars(query.order_by(ExperimentRow.id.desc()).limit(limit + 1)).all()

    def add(self, experiment: ExperimentRow) -> None:
        """Insert it; raises `IntegrityError` at once where the idempotency key is taken."""
        self._session.add(experiment)
        self._session.flush()

    def add_members(self, members: Sequence[ExperimentJobRow]) -> None:
        """Insert them; the experiment and the jobs are there already."""
        self._session.add_all(members)
        self._session.flush()

    def members(self, experiment_id: str) -> Sequence[Member]:
        """The experiment's jobs, in the order of submission."""
        query = (
            select(ExperimentJobRow.strategy, ExperimentJobRow.seed, JobRow.id, JobRow.status, JobRow.progress)
            .join(JobRow, JobRow.id == ExperimentJobRow.job_id)
            .where(ExperimentJobRow.experiment_id == experiment_id)
            .order_by(ExperimentJobRow.position)
        )
        return [Member._make(row) for row in self._session.execute(query)]

    def tallies(self, experiment_ids: Collection[str]) -> dict[str, list[Tally]]:
        """Experiment id -> a row for each status that its jobs have."""
        found: dict[str, list[Tally]] = {experiment_id: [] for experiment_id in experiment_ids}
        if not found:
            return found
        query = (
            select(
                ExperimentJobRow.experiment_id,
                JobRow.status,
                func.count(),
                func.min(JobRow.started_at),
                func.max(JobRow.finished_at),
            )
            .join(JobRow, JobRow.id == ExperimentJobRow.job_id)
            .where(ExperimentJobRow.experiment_id.in_(experiment_ids))
            .group_by(ExperimentJobRow.experiment_id, JobRow.status)
        )
        for experiment_id, *tally in self._session.execute(query):
            found[experiment_id].append(Tally._make(tally))
        return found

    def results(self, experiment_id: str) -> dict[str, dict[str, Any]]:
        """Job id -> result, of the jobs that have one."""
        query = (
            select(JobRow.id, JobRow.result)
            .join(ExperimentJobRow, ExperimentJobRow.job_id == JobRow.id)
            .where(ExperimentJobRow.experiment_id == experiment_id, JobRow.result.is_not(None))
        )
        return {row.id: row.result for row in self._session.execute(query)}

    def estimated_weights(self, experiment_id: str) -> dict[str, dict[int, dict[str, float]]]:
        """Job id -> super-epoch -> head -> weight, of the super-epochs whose weights were estimated."""
        query = (
            select(SuperEpochRow.job_id, SuperEpochRow.super_epoch, SuperEpochRow.weights, SuperEpochRow.alternatives)
            .join(ExperimentJobRow, ExperimentJobRow.job_id == SuperEpochRow.job_id)
            .where(ExperimentJobRow.experiment_id == experiment_id)
            .order_by(SuperEpochRow.job_id, SuperEpochRow.super_epoch)
        )
        found: dict[str, dict[int, dict[str, float]]] = {}
        for job_id, super_epoch, weights, alternatives in self._session.execute(query):
            if alternatives:  # what other policies would have said is known only where something was estimated
                found.setdefault(job_id, {})[super_epoch] = weights
        return found

    def finished_before(self, moment: datetime, *, limit: int) -> Sequence[ExperimentRow]:
        """Experiments whose jobs have all ended, the last of them before `moment`; not those deleted already."""
        late = (
            select(ExperimentJobRow.job_id)
            .join(JobRow, JobRow.id == ExperimentJobRow.job_id)
            .where(
                ExperimentJobRow.experiment_id == ExperimentRow.id,
                or_(JobRow.finished_at.is_(None), JobRow.finished_at >= moment),
            )
        )
        query = select(ExperimentRow).where(
            ExperimentRow.deleted_at.is_(None), ExperimentRow.created_at < moment, ~late.exists()
        )
        return self._session.scalars(query.order_by(ExperimentRow.id).limit(limit)).all()

    def mark_deleted(self, experiment_id: str, moment: datetime) -> None:
        """Hide it; its idempotency key is free again."""
        statement = update(ExperimentRow).where(ExperimentRow.id == experiment_id, ExperimentRow.deleted_at.is_(None))
        self._session.execute(statement.values(deleted_at=moment, idempotency_key=None))

    def remove_emptied(self) -> None:
        """Delete the rows of deleted experiments whose last job has gone."""
        member = select(ExperimentJobRow.job_id).where(ExperimentJobRow.experiment_id == ExperimentRow.id)
        gone = select(ExperimentRow.id).where(ExperimentRow.deleted_at.is_not(None), ~member.exists())
        self._session.execute(delete(ExperimentRow).where(ExperimentRow.id.in_(gone)))

    def lock_jobs(self, experiment_id: str) -> Sequence[JobRow]:
        """The experiment's jobs, locked until the transaction ends; always in one order, so that two such transactions
        never wait for each other."""
        of_experiment = select(ExperimentJobRow.job_id).where(ExperimentJobRow.experiment_id == experiment_id)
        query = select(JobRow).where(JobRow.id.in_(of_experiment)).order_by(JobRow.id).with_for_update()
        return self._session.scalars(query).all()
