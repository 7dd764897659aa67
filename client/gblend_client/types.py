"""What the service answers, typed: frozen dataclasses that ignore fields they do not know.

Every object keeps the JSON it was read from in `raw`, so that a field which a newer server added is within reach.
Times are timezone-aware UTC. Losses are means over samples (cross-entropies in nats; of a regression, squared errors
of the standardised target); `*_se` are standard errors.
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
    detail: str | None = None
    """What is being done where no step is counted: `features of 'rgb': 1,200 of 5,000`."""


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
    """Loss and metrics of one head on one part of the data."""

    head: str
    split: str
    loss: float | None = None
    loss_se: float | None = None
    accuracy: float | None = None
    accuracy_se: float | None = None
    score: float | None = None
    """The task's primary metric (`JobResult.metric` names it), the higher the better."""
    score_se: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """Every metric of the task by name; `None` where undefined."""
    samples: int | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution(_Object):
    """How far the answer's test score falls when one modality's inputs are shuffled over the test rows."""

    modality: str
    score: float | None = None
    """The score with the modality shuffled."""
    drop: float | None = None
    """About 0: the answer does not use it; below 0: it hurts."""
    drop_se: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten(_Object):
    """What joint training lost of one modality's own skill, by linear probes on the encoders."""

    modality: str
    alone: float | None = None
    joint: float | None = None
    forgotten: float | None = None
    """Above 0 where the jointly trained encoder is worse than the one trained alone."""
    forgotten_se: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult(_Object):
    """What a finished training gave."""

    answer: str | None = None
    """The head (or average of heads) that the model answers with."""
    answer_reason: str | None = None
    answer_part: str | None = None
    """The part that it was chosen on: `validation`, or `holdout` where there is none."""
    answer_runner_up: str | None = None
    answer_margin: float | None = None
    """By how much the answer did better than the runner-up there, per sample."""
    answer_margin_se: float | None = None
    pool: Mapping[str, float] = field(default_factory=dict)
    """The fitted weights of the answer `heads_pool`."""
    contributions: tuple[Contribution, ...] = ()
    forgotten: tuple[Forgotten, ...] = ()
    """Only where `diagnostics.forgetting` asked for it."""
    flags: tuple[str, ...] = ()
    """`degenerate`, `noise_dominated`, `starved`, `shift_suspected`."""
    metric: str | None = None
    """The task's primary metric: `accuracy`, `mean_average_precision` or `r2`."""
    test_score: float | None = None
    """The primary metric of the answer."""
    test_score_se: float | None = None
    test_accuracy: float | None = None
    """Of the answer; `None` for tasks without one."""
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
    """1-based, within its queue; `None` when the job does not wait."""
    priority: int = 0
    queue: str = "default"
    """The class of workers that may run it."""
    max_runtime_seconds: float | None = None
    run_seconds: float = 0.0
    """How long workers were at work on it, in attempts that are over."""
    retry_of: str | None = None
    """The job whose last checkpoint it went on from."""
    last_seq: int = 0
    """Of its newest event."""
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
class LogChunk(_Object):
    """A piece of what a job's training printed: whole lines, but for one longer than 64 KiB. `seq` has no gaps."""

    seq: int
    text: str = ""
    attempt: int = 0
    job_id: str | None = None
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
    """One head's loss or one of its metrics on one part of the data after one epoch."""

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
class Checkpoint(_Object):
    """A checkpoint that a worker put into the artifact store: the job could go on from it on any machine."""

    name: str
    """Opaque; of one attempt's checkpoints the later one has the greater name."""
    bytes: int
    fence: int
    """The lease under which it was written; it grows with every attempt."""
    head: str | None = None
    """The head whose estimate it is of, where estimates are spread over workers."""
    job_id: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker(_Object):
    """A worker process, as the service's registry shows it."""

    id: str
    state: str
    """`alive`, `lost` (not heard of for as long as a lease lasts) or `stopped`."""
    host: str | None = None
    pid: int | None = None
    version: str | None = None
    queues: tuple[str, ...] = ()
    """The classes of jobs that it takes."""
    slots: int | None = None
    gpus: tuple[str, ...] = ()
    """As `CUDA_VISIBLE_DEVICES` names them; empty: it trains on the CPU."""
    busy: int = 0
    """How many units it holds now, of any project."""
    jobs: tuple[str, ...] = ()
    """The jobs among them that are this project's."""
    started_at: datetime | None = None
    heartbeat_at: datetime | None = None
    stopped_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list. Ask the next one with `after=page.next_after`."""

    data: tuple[T, ...]
    has_more: bool = False
    next_after: str | None = None
