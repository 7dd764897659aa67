"""Rows to views."""

from __future__ import annotations

from datetime import datetime

from core.jobs.state import JobStatus
from core.jobs.views import ArtifactView, EventView, JobView, MetricPoint, SuperEpochView, Transition
from core.persistence.orm import ArtifactRow, EventRow, JobRow, MetricRow, SuperEpochRow


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


def metric_point(row: MetricRow) -> MetricPoint:
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
