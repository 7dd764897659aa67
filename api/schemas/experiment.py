"""The experiment object."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

from api.schemas.base import JsonObject, Timestamp, WireModel
from api.schemas.problem import ProblemError
from core.errors import Issue
from core.jobs.experiment_views import ExperimentStatus, ExperimentView
from core.jobs.state import JobStatus


class ExperimentJobOut(WireModel):
    """One job of an experiment: an ordinary job, to be looked at under `/v1/jobs`."""

    model_config = ConfigDict(from_attributes=True)

    strategy: str
    seed: int
    job_id: str
    status: JobStatus
    percent: float | None
    """How far its training is; `null` where it does not run."""


class ExperimentOut(WireModel):
    """Strategies x seeds of one job, as they stand."""

    id: str
    """Prefixed and sortable by creation."""
    object: Literal["experiment"] = "experiment"
    name: str | None
    project: str
    status: ExperimentStatus
    """Follows from the jobs: `queued` until the first begins, `running` until the last has ended, then `failed` where
    any failed, else `cancelled` where any was, else `succeeded`."""
    is_terminal: bool
    """Whether all jobs have ended."""
    counts: dict[JobStatus, int]
    """How many jobs have each status."""
    spec: JsonObject
    """The experiment with every default written out and shorthands spelled out."""
    metadata: dict[str, str]
    warnings: list[ProblemError]
    """What was odd about the data when the experiment was submitted."""
    created_at: Timestamp
    started_at: Timestamp | None
    """When its first job began."""
    finished_at: Timestamp | None
    """When its last job ended."""

    @classmethod
    def of(cls, view: ExperimentView) -> ExperimentOut:
        """The wire form of an experiment, without its jobs."""
        return cls(**_fields(view))


class ExperimentDetailOut(ExperimentOut):
    """An experiment with its jobs."""

    jobs: list[ExperimentJobOut]
    """In the order of submission: seed by seed, strategy by strategy."""

    @classmethod
    def of(cls, view: ExperimentView) -> ExperimentDetailOut:
        """The wire form of an experiment."""
        return cls(**_fields(view), jobs=[ExperimentJobOut.model_validate(job) for job in view.jobs])


class ExperimentValidationOut(WireModel):
    """The answer to `POST /v1/experiments?validate_only=true`: what a submission would say; nothing was created."""

    object: Literal["experiment.validation"] = "experiment.validation"
    valid: bool
    """Whether a submission would be accepted."""
    errors: list[ProblemError]
    warnings: list[ProblemError]
    spec: JsonObject
    """The experiment with every default written out and shorthands spelled out."""
    jobs: int
    """How many jobs it would have."""


def _fields(view: ExperimentView) -> dict[str, Any]:
    return {
        "id": view.id,
        "name": view.name,
        "project": view.project,
        "status": view.status,
        "is_terminal": view.status.is_terminal,
        "counts": view.counts,
        "spec": view.spec,
        "metadata": view.metadata,
        "warnings": [ProblemError.of(Issue.from_json(issue)) for issue in view.warnings],
        "created_at": view.created_at,
        "started_at": view.started_at,
        "finished_at": view.finished_at,
    }
