"""Rows to views."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from core.jobs.experiment_views import ExperimentView, MemberView, status_of
from core.jobs.state import JobStatus
from core.jobs.views import ArtifactView, EventView, JobView, MetricPoint, SuperEpochView, Transition
from core.persistence.orm import ArtifactRow, EventRow, ExperimentRow, JobRow, SuperEpochRow
from core.persistence.repositories.experiments import Member, Tally
from core.persistence.repositories.history import MetricNumbers


def job_view(row: JobRow, queue_position: int | None) -> JobView:
    """A job row as its view."""
    transitions = tuple(
        Transition(status=JobStatus(raw["status"]), at=datetime.fromisoformat(raw["at"]), reason=raw["reason"])
        for raw in row.transitions
    )
    return JobView(
        id=row.id,
        project=row.project,
        name=row.spec["name"],
        status=JobStatus(row.status),
        status_reason=row.status_reason,
        desired=row.desired,
        phase=row.phase,
        attempt=row.attempt,
        progress=row.progress,
        queue_position=queue_position,
        priority=row.priority,
        queue=row.queue,
        max_runtime_seconds=row.max_runtime_seconds,
        run_seconds=row.run_seconds,
        retry_of=row.retry_of,
        spec=row.spec,
        spec_fingerprint=row.spec_fingerprint,
        dataset_fingerprint=row.dataset_fingerprint,
        environment=row.environment,
        seed=row.spec["seed"],
        result=row.result,
        error=row.error,
        metadata=row.spec["metadata"],
        warnings=tuple(row.warnings),
        transitions=transitions,
        last_seq=row.last_seq,
        version=row.version,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def event_view(row: EventRow) -> EventView:
    """An event row as its view. The id names job and number: `evt_<job's ULID>_<seq>`."""
    return EventView(
        id=f"evt_{row.job_id.removeprefix('job_')}_{row.seq}",
        job_id=row.job_id,
        seq=row.seq,
        attempt=row.attempt,
        type=row.type,
        level=row.level,
        message=row.message,
        data=row.data,
        created_at=row.created_at,
    )


def super_epoch_view(row: SuperEpochRow) -> SuperEpochView:
    """A super-epoch row as its view."""
    return SuperEpochView(
        job_id=row.job_id,
        super_epoch=row.super_epoch,
        first_epoch=row.first_epoch,
        epochs=row.epochs,
        policy=row.policy,
        weights=row.weights,
        heads=tuple(row.heads),
        alternatives=row.alternatives,
        degenerate=row.degenerate,
        reason=row.reason,
        cost=row.cost,
        seq=row.seq,
        created_at=row.created_at,
    )


def metric_point(row: MetricNumbers) -> MetricPoint:
    """A metric row as its view."""
    return MetricPoint(
        scope=row.scope,
        epoch=row.epoch,
        head=row.head,
        split=row.split,
        metric=row.metric,
        value=row.value,
        se=row.se,
        seq=row.seq,
    )


def artifact_view(row: ArtifactRow) -> ArtifactView:
    """An artifact row as its view."""
    return ArtifactView(
        id=row.id,
        job_id=row.job_id,
        name=row.name,
        kind=row.kind,
        bytes=row.bytes,
        sha256=row.sha256,
        uri=row.uri,
        created_at=row.created_at,
    )


def member_view(member: Member) -> MemberView:
    """A job of an experiment as its view."""
    status = JobStatus(member.status)
    return MemberView(
        strategy=member.strategy,
        seed=member.seed,
        job_id=member.job_id,
        status=status,
        percent=member.progress["percent"] if member.progress and not status.is_terminal else None,
    )


def experiment_view(row: ExperimentRow, tallies: Sequence[Tally], jobs: tuple[MemberView, ...] = ()) -> ExperimentView:
    """An experiment row as its view; `tallies` are those of its jobs."""
    counts = dict.fromkeys(JobStatus, 0) | {JobStatus(tally.status): tally.jobs for tally in tallies}
    status = status_of(counts)
    return ExperimentView(
        id=row.id,
        project=row.project,
        name=row.name,
        status=status,
        counts=counts,
        jobs=jobs,
        spec=row.spec,
        strategies=tuple(strategy["name"] for strategy in row.spec["strategies"]),
        metadata=row.spec["metadata"],
        warnings=tuple(row.warnings),
        created_at=row.created_at,
        started_at=min((tally.started_at for tally in tallies if tally.started_at), default=None),
        finished_at=max((tally.finished_at for tally in tallies if tally.finished_at), default=None)
        if status.is_terminal
        else None,
    )
