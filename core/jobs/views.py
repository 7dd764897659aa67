"""What the job service hands out: frozen snapshots of rows, free of sessions.

Times are timezone-aware UTC. The API turns these into its wire schemas; nothing else leaves `core.jobs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from core.jobs.state import JobStatus

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of a job's status."""

    status: JobStatus
    at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPulse:
    """What somebody who follows a job needs to know of it at every step."""

    id: str
    status: JobStatus
    last_seq: int
    """Of its newest event; final where the job has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job as it stands."""

    id: str
    project: str
    name: str | None
    status: JobStatus
    status_reason: str | None
    desired: str
    """`run`, `pause` or `cancel`: what its owner asked for last."""
    phase: str | None
    attempt: int
    progress: dict[str, Any] | None
    """`core.events.Progress` as JSON."""
    queue_position: int | None
    """1-based among the units that wait in its queue, in the order of claims; `None` when the job does not wait."""
    priority: int
    queue: str
    max_runtime_seconds: float | None
    run_seconds: float
    """How long workers were at work on it, in attempts that are over."""
    retry_of: str | None
    """The job that this one goes on from."""
    spec: dict[str, Any]
    spec_fingerprint: str
    dataset_fingerprint: str | None
    environment: dict[str, Any] | None
    seed: int
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    metadata: dict[str, str]
    warnings: tuple[dict[str, Any], ...]
    """Issues of severity `warning` found at submission."""
    transitions: tuple[Transition, ...]
    last_seq: int
    version: int
    """Grows with every change of the row: what an ETag is made of."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One recorded event."""

    id: str
    job_id: str
    seq: int
    attempt: int
    type: str
    level: str
    message: str
    data: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperEpochView:
    """A super-epoch's weights and what led to them: the event `super_epoch.weights` as a row."""

    job_id: str
    super_epoch: int
    first_epoch: int
    epochs: int
    policy: str
    weights: dict[str, float]
    heads: tuple[dict[str, Any], ...]
    """`core.events.HeadEstimate` as JSON."""
    alternatives: dict[str, dict[str, float]]
    degenerate: bool
    reason: str | None
    cost: dict[str, Any]
    seq: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """One head's loss or one of its metrics on one part of the data after one epoch."""

    scope: str
    """`epoch`, `fine_tune` or `test`."""
    epoch: int
    head: str
    split: str
    metric: str
    """`loss`, or a metric of the task: `accuracy`, `mean_average_precision`, `r2`, ..."""
    value: float | None
    se: float | None
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactView:
    """A file that the job left behind."""

    id: str
    job_id: str
    name: str
    kind: str
    bytes: int
    sha256: str
    uri: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list."""

    data: tuple[T, ...]
    has_more: bool
    next_after: str | None
    """The cursor to ask the next page with."""
