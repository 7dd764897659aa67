"""What the service answers, typed: frozen dataclasses that ignore fields they do not know.

Every object keeps the JSON it was read from in `raw`, so that a field which a newer server added is within reach.
Times are timezone-aware UTC. Losses are mean cross-entropies in nats; `*_se` are standard errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from gblend_client.errors import ProblemItem

T = TypeVar("T")

TERMINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The JSON object as it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressTotals(_Object):
    """What `epoch` and `step` count up to."""

    epochs: int | None = None
    steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(_Object):
    """Where a running job is now."""

    percent: float | None = None
    eta_seconds: float | None = None
    super_epoch: int | None = None
    epoch: int | None = None
    step: int | None = None
    totals: ProgressTotals = field(default_factory=ProgressTotals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition(_Object):
    """One change of a job's status."""

    status: str
    at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError(_Object):
    """Why a job failed."""

    code: str = "internal"
    message: str = ""
    hint: str | None = None
    errors: tuple[ProblemItem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(_Object):
    """Loss and accuracy of one head on one part of the data."""

    head: str
    split: str
    loss: float | None = None
    loss_se: float | None = None
    accuracy: float | None = None
    accuracy_se: float | None = None
    samples: int | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult(_Object):
    """What a finished training gave."""

    answer: str | None = None
    """The head (or average of heads) that the model answers with."""
    answer_reason: str | None = None
    test_accuracy: float | None = None
    """Of the answer."""
    test_loss: float | None = None
    test: tuple[Measurement, ...] = ()
    """Every head on the test part."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """The last super-epoch's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(_Object):
    """A training job as it stands."""

    id: str
    status: str
    name: str | None = None
    project: str | None = None
    status_reason: str | None = None
    phase: str | None = None
    attempt: int = 0
    progress: Progress | None = None
    queue_position: int | None = None
    """1-based; `None` when the job does not wait."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """The job spec with every default written out."""
    spec_fingerprint: str | None = None
    dataset_fingerprint: str | None = None
    environment: Mapping[str, Any] | None = None
    seed: int | None = None
    result: JobResult | None = None
    error: JobError | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[ProblemItem, ...] = ()
    transitions: tuple[Transition, ...] = ()
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended for good. The server's word counts: it may know states that we do not."""
        said = self.raw.get("is_terminal")
        return said if isinstance(said, bool) else self.status in TERMINAL_STATUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationReport(_Object):
    """What a submission would say; nothing was created."""

    valid: bool
    errors: tuple[ProblemItem, ...] = ()
    warnings: tuple[ProblemItem, ...] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)
    """The spec with every default written out."""
    spec_fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(_Object):
    """One entry of a job's log. `seq` counts from 1 without gaps."""

    seq: int
    type: str
    id: str | None = None
    job_id: str | None = None
    attempt: int = 0
    level: str = "info"
    message: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadEstimate(_Object):
    """What one head's estimate measured (Wang et al. 2020, section 2.2) and the weight that came of it."""

    head: str
    weight: float
    weight_low: float | None = None
    weight_high: float | None = None
    """Bootstrap 90 % interval of the weight."""
    G: float | None = None
    """Generalisation: the fall of the holdout loss."""
    G_se: float | None = None
    O: float | None = None
    """Overfitting: the growth of the gap between holdout and train loss."""
    O_se: float | None = None
    ogr: float | None = None
    """`|O / G|`."""
    ogr_se: float | None = None
    train_before: float | None = None
    train_after: float | None = None
    holdout_before: float | None = None
    holdout_after: float | None = None
    learnt: bool | None = None
    """False where |G| is below its own noise."""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperEpoch(_Object):
    """The weights of one super-epoch and what led to them."""

    super_epoch: int
    """0-based."""
    first_epoch: int | None = None
    epochs: int | None = None
    policy: str | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    heads: tuple[HeadEstimate, ...] = ()
    alternatives: Mapping[str, Any] = field(default_factory=dict)
    """What each known policy would have said: policy -> head -> weight."""
    degenerate: bool = False
    reason: str | None = None
    cost: Mapping[str, Any] | None = None
    seq: int | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(_Object):
    """One head's loss or accuracy on one part of the data after one epoch."""

    head: str
    split: str
    metric: str
    epoch: int
    scope: str = "epoch"
    """`epoch`, `fine_tune` or `test`."""
    value: float | None = None
    se: float | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact(_Object):
    """A file that a job left behind."""

    name: str
    bytes: int
    sha256: str
    """Hexadecimal."""
    kind: str | None = None
    href: str | None = None
    """The path to download it from."""
    id: str | None = None
    job_id: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list. Ask the next one with `after=page.next_after`."""

    data: tuple[T, ...]
    has_more: bool = False
    next_after: str | None = None
