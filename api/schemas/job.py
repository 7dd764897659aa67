"""The job object."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from api.schemas.base import JsonObject, Timestamp, WireModel
from api.schemas.problem import ProblemError
from core.errors import Issue
from core.jobs.state import JobStatus
from core.jobs.views import JobView


class ProgressTotals(WireModel):
    """What `epoch` and `step` count up to."""

    epochs: int
    steps: int


class ProgressOut(WireModel):
    """Where the training is now."""

    percent: float
    eta_seconds: float | None
    super_epoch: int | None
    epoch: int
    step: int
    totals: ProgressTotals
    detail: str | None
    """What is being done where no step is counted: `features of 'rgb': 1,200 of 5,000`."""

    @classmethod
    def of(cls, raw: dict[str, Any]) -> ProgressOut:
        """From `core.events.Progress` as JSON."""
        return cls(
            percent=raw["percent"],
            eta_seconds=raw["eta_seconds"],
            super_epoch=raw["super_epoch"],
            epoch=raw["epoch"],
            step=raw["step"],
            totals=ProgressTotals(epochs=raw["epochs"], steps=raw["steps"]),
            detail=raw.get("detail"),
        )


class TransitionOut(WireModel):
    """One change of the job's status."""

    status: JobStatus
    at: Timestamp
    reason: str | None


class JobErrorOut(WireModel):
    """Why a job failed."""

    model_config = ConfigDict(extra="ignore")

    code: str
    message: str
    hint: str | None = None
    errors: Annotated[list[ProblemError], Field(default_factory=list)]
    """Every single thing that is wrong with the data, where that is the reason."""

    @classmethod
    def of(cls, raw: dict[str, Any]) -> JobErrorOut:
        """From the error that the job row keeps (`GblendError.to_json`)."""
        errors = [ProblemError.of(Issue.from_json(issue)) for issue in raw.get("errors") or ()]
        return cls(code=raw["code"], message=raw["message"], hint=raw.get("hint"), errors=errors)


class JobOut(WireModel):
    """A job as it stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "job_01KDXYZ3C5Q7R9S1T2V4W6X8Y0",
                    "object": "job",
                    "name": "spoken and written digits",
                    "project": "default",
                    "status": "running",
                    "is_terminal": False,
                    "status_reason": None,
                    "phase": "training",
                    "attempt": 1,
                    "progress": {
                        "percent": 41.5,
                        "eta_seconds": 12.0,
                        "super_epoch": 1,
                        "epoch": 12,
                        "step": 240,
                        "totals": {"epochs": 20, "steps": 580},
                        "detail": None,
                    },
                    "queue_position": None,
                    "priority": 0,
                    "queue": "default",
                    "max_runtime_seconds": 7200.0,
                    "run_seconds": 0.0,
                    "retry_of": None,
                    "last_seq": 37,
                    "spec": {"schema_version": 1, "seed": 0},
                    "spec_fingerprint": "sha256:6f1d...",
                    "dataset_fingerprint": "sha256:93b2...",
                    "environment": {"torch": "2.13.0", "device": "cpu"},
                    "seed": 0,
                    "result": None,
                    "error": None,
                    "metadata": {"team": "speech"},
                    "warnings": [],
                    "transitions": [{"status": "queued", "at": "2026-01-02T03:04:05.678901Z", "reason": None}],
                    "created_at": "2026-01-02T03:04:05.678901Z",
                    "started_at": "2026-01-02T03:04:06.123456Z",
                    "finished_at": None,
                }
            ]
        },
    )

    id: str
    """Prefixed and sortable by creation."""
    object: Literal["job"] = "job"
    name: str | None
    project: str
    status: JobStatus
    is_terminal: bool
    """Terminal states never change."""
    status_reason: str | None
    phase: str | None
    """`pretraining`, `estimating`, `training`, `fine_tuning`, `evaluating`, `saving`; `null` while nothing runs."""
    attempt: int
    progress: ProgressOut | None
    queue_position: int | None
    """1-based among the units that wait in its queue, in the order in which workers take them; `null` when the job does
    not wait."""
    priority: int
    queue: str
    """The class of workers that may run it."""
    max_runtime_seconds: float | None
    """How long workers may be at work on it before it fails (`max_runtime`); `null`: no limit."""
    run_seconds: float
    """How long workers were at work on it, in attempts that are over."""
    retry_of: str | None
    """The job whose last checkpoint this one went on from."""
    last_seq: int
    """Of its newest event: what was asked for after this answer holds it, and a stream from here on misses nothing."""
    spec: JsonObject
    """The job spec with every default written out."""
    spec_fingerprint: str
    """Of what decides the result: the spec without `name`, `metadata` and `scheduling`."""
    dataset_fingerprint: str | None
    environment: JsonObject | None
    """`git_sha`, `packages`, `torch`, `cuda`, `device`."""
    seed: int
    result: JsonObject | None
    """Test metrics of every head and of the answer: `metric` names the primary one, `test_score` is the answer's."""
    error: JobErrorOut | None
    metadata: dict[str, str]
    warnings: list[ProblemError]
    """What was odd about the data when the job was submitted."""
    transitions: list[TransitionOut]
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None

    @classmethod
    def of(cls, view: JobView) -> JobOut:
        """The wire form of a job."""
        return cls(
            id=view.id,
            name=view.name,
            project=view.project,
            status=view.status,
            is_terminal=view.status.is_terminal,
            status_reason=view.status_reason,
            phase=view.phase,
            attempt=view.attempt,
            progress=None if view.progress is None else ProgressOut.of(view.progress),
            queue_position=view.queue_position,
            priority=view.priority,
            queue=view.queue,
            max_runtime_seconds=view.max_runtime_seconds,
            run_seconds=view.run_seconds,
            retry_of=view.retry_of,
            last_seq=view.last_seq,
            spec=view.spec,
            spec_fingerprint=view.spec_fingerprint,
            dataset_fingerprint=view.dataset_fingerprint,
            environment=view.environment,
            seed=view.seed,
            result=view.result,
            error=None if view.error is None else JobErrorOut.of(view.error),
            metadata=view.metadata,
            warnings=[ProblemError.of(Issue.from_json(issue)) for issue in view.warnings],
            transitions=[TransitionOut(status=t.status, at=t.at, reason=t.reason) for t in view.transitions],
            created_at=view.created_at,
            started_at=view.started_at,
            finished_at=view.finished_at,
        )
