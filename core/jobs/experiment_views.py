"""What the experiment service hands out, and how an experiment's status follows from its jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from core.jobs.state import TERMINAL, JobStatus


class ExperimentStatus(StrEnum):
    """Every state that an experiment can be in."""

    QUEUED = "queued"
    """No job has begun."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    """All jobs succeeded."""
    FAILED = "failed"
    """All jobs ended, some of them failed."""
    CANCELLED = "cancelled"
    """All jobs ended, some of them were cancelled and none failed."""

    @property
    def is_terminal(self) -> bool:
        """Whether all jobs have ended."""
        return self not in (ExperimentStatus.QUEUED, ExperimentStatus.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """One job of an experiment."""

    strategy: str
    seed: int
    job_id: str
    status: JobStatus
    percent: float | None
    """How far it is; `None` where it does not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentView:
    """An experiment as it stands."""

    id: str
    project: str
    name: str | None
    status: ExperimentStatus
    counts: dict[JobStatus, int]
    """How many jobs have each status; every status is there."""
    jobs: tuple[MemberView, ...]
    """In the order of submission; empty in lists."""
    spec: dict[str, Any]
    strategies: tuple[str, ...]
    """Their names, in the order of the spec."""
    metadata: dict[str, str]
    warnings: tuple[dict[str, Any], ...]
    created_at: datetime
    started_at: datetime | None
    """When its first job began."""
    finished_at: datetime | None
    """When its last job ended; `None` while any goes on."""


def status_of(counts: Mapping[JobStatus, int]) -> ExperimentStatus:
    """The experiment's status, from how many of its jobs have which."""
    there = {status for status, count in counts.items() if count}
    if there - TERMINAL:
        return ExperimentStatus.QUEUED if there == {JobStatus.QUEUED} else ExperimentStatus.RUNNING
    if JobStatus.FAILED in there:
        return ExperimentStatus.FAILED
    return ExperimentStatus.CANCELLED if JobStatus.CANCELLED in there else ExperimentStatus.SUCCEEDED
