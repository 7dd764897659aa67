"""What a training tells: one frozen model per event type, and their union `JobEvent`.

The training process yields them in order; the journal numbers them; the supervisor records each exactly once. Losses
are means over samples of the cross-entropy in nats; `se` fields are standard errors of those means. A number that is
not finite is `None` here (JSON has no NaN), and `flags` say so.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from core.attribute_docs import DocumentedModel

Phase = Literal["estimating", "training", "fine_tuning", "evaluating", "saving"]
Split = Literal["train", "holdout", "validation", "test"]


class EventModel(DocumentedModel):
    """Base of the parts of an event."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def finite(value: float) -> float | None:
    """The number, or `None` where it is NaN or infinite."""
    return value if math.isfinite(value) else None


class Measurement(EventModel):
    """Loss and accuracy of one head on one part of the data, at one moment, in eval mode."""

    head: str
    """A modality's name, `fused`, `fused_fine_tuned` or `heads_average`."""
    split: Split
    loss: float | None
    loss_se: float | None
    accuracy: float | None
    accuracy_se: float | None
    samples: int
    flags: tuple[str, ...] = ()


class HeadEstimate(EventModel):
    """What one head's estimate measured (paper, section 2.2), with errors from the per-sample losses."""

    head: str
    train_before: float | None
    train_after: float | None
    holdout_before: float | None
    holdout_after: float | None
    G: float | None
    """`L_V(N) - L_V(N+n)`: positive is good."""
    G_se: float | None
    O: float | None
    """Change of overfitting, `(L_V - L_T)(N+n) - (L_V - L_T)(N)`."""
    O_se: float | None
    ogr: float | None
    """`|O / G|` (Eq. 3); `None` where G is 0."""
    ogr_se: float | None
    weight: float
    """The weight that steers the training."""
    weight_low: float | None
    weight_high: float | None
    """Bootstrap 90 % interval of the weight; `None` where nothing was estimated."""
    learnt: bool
    """False where |G| is below its own noise: the head learnt nothing that could be measured."""
    flags: tuple[str, ...] = ()


class Cost(EventModel):
    """What a part of the run cost. Seconds differ from run to run; samples do not."""

    seconds: float
    samples: int
    """Forward-and-backward passes of one sample through one head's network."""


class RunStarted(EventModel):
    """The data are decoded and the model is built."""

    type: Literal["run.started"] = "run.started"
    heads: tuple[str, ...]
    classes: tuple[str, ...]
    counts: dict[Split, int]
    holdout_groups: tuple[str, ...] = ()
    """The groups that V consists of, where V is group-aware."""
    parameters: int
    dataset_fingerprint: str
    super_epochs: int
    """How many the schedule has; 0 for strategies without weights to estimate."""
    environment: dict[str, Any]
    """`torch`, `device`, `cuda`, `packages`..."""


class Warned(EventModel):
    """Something odd that does not stop the run."""

    type: Literal["run.warning"] = "run.warning"
    code: str
    message: str
    hint: str | None = None


class PhaseStarted(EventModel):
    """A new phase of the run."""

    type: Literal["phase.started"] = "phase.started"
    phase: Phase
    super_epoch: int | None = None


class EstimateEpoch(EventModel):
    """One epoch of the estimate's copies, all heads in one pass over the data."""

    type: Literal["estimate.epoch"] = "estimate.epoch"
    super_epoch: int
    epoch: int
    """1-based within the estimate."""
    epochs: int


class SuperEpochWeights(EventModel):
    """The weights of a super-epoch, and all that led to them: the history the service exists for."""

    type: Literal["super_epoch.weights"] = "super_epoch.weights"
    super_epoch: int
    """0-based."""
    first_epoch: int
    """0-based epoch of the run at which these weights begin."""
    epochs: int
    policy: str
    """`paper`, `shrunk`; or `equal`, `fixed`, `naive`, `unimodal` where nothing was estimated."""
    heads: tuple[HeadEstimate, ...]
    alternatives: dict[str, dict[str, float]]
    """What each known policy would have said: policy -> head -> weight."""
    degenerate: bool
    reason: str | None
    cost: Cost


class EpochCompleted(EventModel):
    """One blended epoch of the live model, measured afterwards."""

    type: Literal["epoch.completed"] = "epoch.completed"
    epoch: int
    """1-based within the run."""
    super_epoch: int
    measurements: tuple[Measurement, ...]
    cost: Cost


class FineTuneEpoch(EventModel):
    """One epoch of the fused head on frozen encoders."""

    type: Literal["fine_tune.epoch"] = "fine_tune.epoch"
    epoch: int
    measurements: tuple[Measurement, ...]
    cost: Cost


class ArtifactWritten(EventModel):
    """A file that the run leaves behind, in its run directory."""

    name: str
    path: str
    """Relative to the run directory, with forward slashes."""
    kind: Literal["model", "metrics", "history", "predictions", "card"]
    bytes: int
    sha256: str


class RunCompleted(EventModel):
    """The end: test metrics of every head, and what the model answers with."""

    type: Literal["run.completed"] = "run.completed"
    test: tuple[Measurement, ...]
    selection: tuple[Measurement, ...]
    """The measurements that the answer was chosen on."""
    answer: str
    """`fused`, `fused_fine_tuned`, `heads_average`, or a modality's name for a uni-modal run."""
    answer_reason: str
    test_accuracy: float | None
    """Of the answer."""
    test_loss: float | None
    weights: dict[str, float]
    """The last super-epoch's."""
    cost: dict[str, Cost]
    """Per phase."""
    artifacts: tuple[ArtifactWritten, ...]


class RunFailed(EventModel):
    """The training gave up for a reason that trying again will not mend."""

    type: Literal["run.failed"] = "run.failed"
    code: str
    message: str
    hint: str | None = None
    errors: tuple[dict[str, Any], ...] = ()


JobEvent = Annotated[
    RunStarted
    | Warned
    | PhaseStarted
    | EstimateEpoch
    | SuperEpochWeights
    | EpochCompleted
    | FineTuneEpoch
    | RunCompleted
    | RunFailed,
    Field(discriminator="type"),
]


class JournalEntry(EventModel):
    """A line of `events.jsonl`. `number` counts from 1 without gaps, and a resumed run gives the same event the same
    number: that is what makes recording idempotent."""

    number: int
    event: JobEvent


class Progress(EventModel):
    """`progress.json`: where the run is now. Overwritten in place, never recorded as an event."""

    phase: Phase
    percent: float
    eta_seconds: float | None
    super_epoch: int | None
    epoch: int
    epochs: int
    step: int
    steps: int
    updated_at: float
    """Seconds since the Unix epoch; proves that the loop advances, which a heartbeat does not."""
