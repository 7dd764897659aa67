"""What a training tells: one frozen model per event type, and their union `JobEvent`.

The training process yields them in order; the journal numbers them; the supervisor records each exactly once. Losses
are means over samples of the loss that is trained (`core.training.objective`): cross-entropy in nats for classes,
squared error of the standardised target for a regression; `se` fields are standard errors of those means. A number that
is not finite is `None` here (JSON has no NaN), and `flags` say so.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from core.attribute_docs import DocumentedModel

Phase = Literal["pretraining", "estimating", "training", "fine_tuning", "evaluating", "saving"]
Split = Literal["train", "holdout", "validation", "test"]
MetricName = Literal[
    "loss",
    "accuracy",
    "balanced_accuracy",
    "auc",
    "average_precision",
    "mean_average_precision",
    "r2",
    "rmse",
    "mae",
]
"""What can be measured of a head on a part: the loss, and the metrics of all tasks."""


class EventModel(DocumentedModel):
    """Base of the parts of an event."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def finite(value: float) -> float | None:
    """The number, or `None` where it is NaN or infinite."""
    return value if math.isfinite(value) else None


class Measurement(EventModel):
    """Loss and metrics of one head on one part of the data, at one moment, in eval mode."""

    head: str
    """A modality's name, `fused`, `fused_fine_tuned`, `heads_average` or `heads_pool`."""
    split: Split
    loss: float | None
    loss_se: float | None
    accuracy: float | None
    """`None` where a sample is not simply right or wrong: multilabel, regression."""
    accuracy_se: float | None
    score: float | None = None
    """The task's primary metric, the higher the better; `RunStarted.metric` names it."""
    score_se: float | None = None
    """By formula for the accuracy; by bootstrap for others, and only where a choice or the test rests on it."""
    metrics: dict[str, float | None] = Field(default_factory=dict)
    """Every metric of the task by name, the primary one first; `None` where this part leaves it undefined."""
    samples: int
    flags: tuple[str, ...] = ()
    """`not_finite`, `untrained`, `metric_undefined` (a metric is: a single class, a constant target)."""


class HeadEstimate(EventModel):
    """What one head's estimate measured (paper, section 2.2), with errors from the per-sample losses.

    "After" is what the estimator makes of it: n epochs of a copy (`exact`), the losses' linear change along one step
    (`gradient`), or the end of the super-epoch that has just been trained (`trajectory`).
    """

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
    """`not_estimated`, `not_finite`, `negative_gain` (it got worse), `noise_dominated` (|G| is below its own noise),
    `capped` (it would have had more than the equal share for it), `one_group` (V is a single group: the errors cannot
    see how another would differ), `starved` (the fused head, below a quarter of the equal share: it lives on the final
    fine-tune), `not_trained` (a trajectory: it had no weight in the super-epoch that was looked at)."""


class Cost(EventModel):
    """What a part of the run cost. Seconds differ from run to run; samples do not."""

    seconds: float
    samples: int
    """Forward-and-backward passes of one sample through one head's network."""
    measured: int = 0
    """Of an estimate: samples that went forward through one head's network only to be measured. What every strategy
    measures alike, after each epoch and at the end, is not counted."""


class RunStarted(EventModel):
    """The data are decoded and the model is built."""

    type: Literal["run.started"] = "run.started"
    heads: tuple[str, ...]
    task: str = "multiclass"
    """`multiclass`, `binary`, `multilabel` or `regression`."""
    metric: str = "accuracy"
    """The primary metric: what `score` is in every measurement of this run."""
    classes: tuple[str, ...]
    """Labels of a multilabel target; empty for a regression."""
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


class EstimateStarted(EventModel):
    """One head's estimate begins in a process of its own (`scheduling.spread_estimates`)."""

    type: Literal["estimate.started"] = "estimate.started"
    super_epoch: int
    head: str
    epochs: int
    """That its copy will train."""


class EstimateEpoch(EventModel):
    """One epoch of the estimate's copies, all heads in one pass over the data; or of the copy of one head alone."""

    type: Literal["estimate.epoch"] = "estimate.epoch"
    super_epoch: int
    epoch: int
    """1-based within the estimate."""
    epochs: int
    head: str | None = None
    """The head, where each is estimated in a process of its own; `None`: all of them."""


class EstimateCompleted(EventModel):
    """One head's estimate, made in a process of its own, is complete: its losses are in a file of the run directory."""

    type: Literal["estimate.completed"] = "estimate.completed"
    super_epoch: int
    head: str
    cost: Cost
    path: str
    """Relative to the run directory, with forward slashes."""
    bytes: int
    sha256: str


class SuperEpochWeights(EventModel):
    """The weights of a super-epoch, and all that led to them: the history the service exists for."""

    type: Literal["super_epoch.weights"] = "super_epoch.weights"
    super_epoch: int
    """0-based."""
    first_epoch: int
    """0-based epoch of the run at which these weights begin."""
    epochs: int
    policy: str
    """`shrunk`, `paper`, `correlated`; or a strategy's name, or `warm_up`: not estimated."""
    heads: tuple[HeadEstimate, ...]
    alternatives: dict[str, dict[str, float]]
    """What each known policy would have said, before ceiling, smoothing and floors: policy -> head -> weight."""
    degenerate: bool
    reason: str | None
    cost: Cost


class PretrainEpoch(EventModel):
    """One epoch of every modality's encoder and head alone, before the joint training."""

    type: Literal["pretrain.epoch"] = "pretrain.epoch"
    epoch: int
    """1-based within the pre-training."""
    epochs: int
    measurements: tuple[Measurement, ...]
    cost: Cost


class EarlyStop(EventModel):
    """What early stopping knows after an epoch of the heads that it watches together."""

    heads: tuple[str, ...]
    split: Split
    """The part that it looks at."""
    loss: float
    """The heads' weighted loss there."""
    best_loss: float
    best_epoch: int
    """1-based."""
    over: bool
    """The training of these heads has ended, and they have the parameters of the best epoch again."""


class Restored(EventModel):
    """An earlier epoch's parameters were put back after the last epoch (`training.keep`)."""

    heads: tuple[str, ...]
    """The heads that it is about: all of them, or one network of an ensemble."""
    epoch: int
    """1-based: whose parameters these heads and their encoders now have."""
    gain: float
    """By how much that epoch did better than the last one on the rows that the answer is chosen on, per sample."""
    gain_se: float
    """Standard error of the paired difference."""


class EpochCompleted(EventModel):
    """One blended epoch of the live model, measured afterwards."""

    type: Literal["epoch.completed"] = "epoch.completed"
    epoch: int
    """1-based within the run."""
    super_epoch: int
    measurements: tuple[Measurement, ...]
    """Of the parameters as the epoch left them, also where early stopping then goes back to better ones."""
    cost: Cost
    early_stopping: tuple[EarlyStop, ...] = ()
    """Where `training.early_stopping` is set: one for all heads, or one per network of an ensemble that trains on."""
    restored: tuple[Restored, ...] = ()
    """At the last epoch, where an earlier one was better by more than the noise."""


class FineTuneEpoch(EventModel):
    """One epoch of the fused head on frozen encoders."""

    type: Literal["fine_tune.epoch"] = "fine_tune.epoch"
    epoch: int
    measurements: tuple[Measurement, ...]
    cost: Cost


ArtifactKind = Literal["model", "metrics", "history", "predictions", "card"]


class ArtifactWritten(EventModel):
    """A file that the run leaves behind, in its run directory."""

    name: str
    path: str
    """Relative to the run directory, with forward slashes."""
    kind: ArtifactKind
    bytes: int
    sha256: str


class Contribution(EventModel):
    """What one modality contributes to the answer: the test score with that modality's inputs shuffled over samples.

    Shuffling keeps the modality's distribution and takes away what it says of its sample (permutation importance:
    L. Breiman, "Random Forests", Machine Learning 2001).
    """

    modality: str
    score: float | None
    """The answer's score with this modality shuffled; the mean over a few shuffles."""
    drop: float | None
    """By how much the score falls: about 0 for a modality that the answer does not use, below 0 where it hurts."""
    drop_se: float | None
    """Standard error over the shuffles."""


class Forgotten(EventModel):
    """What joint training lost of one modality's own skill: linear probes on its encoder, and on one trained alone."""

    modality: str
    alone: float | None
    """Test score of the probe on the encoder that was trained alone for as long."""
    joint: float | None
    """Test score of the probe on the jointly trained encoder."""
    forgotten: float | None
    """Mean per-sample difference, in accuracy (in loss where the task has none): above 0 where the joint is worse."""
    forgotten_se: float | None


class RunCompleted(EventModel):
    """The end: test metrics of every head, and what the model answers with."""

    type: Literal["run.completed"] = "run.completed"
    test: tuple[Measurement, ...]
    selection: tuple[Measurement, ...]
    """The measurements that the answer was chosen on."""
    answer: str
    """`heads_pool`, `fused_fine_tuned`, `fused`, `heads_average`, or the name of the modality whose head answers."""
    answer_reason: str
    answer_part: Split = "validation"
    """The part that it was chosen on: `validation`, or `holdout` where there is none."""
    answer_runner_up: str | None = None
    answer_margin: float | None = None
    """By how much the answer did better than the runner-up there: in accuracy; in loss where the task has none."""
    answer_margin_se: float | None = None
    """Standard error of the paired difference."""
    pool: dict[str, float] = Field(default_factory=dict)
    """The fitted weights of `heads_pool`: head -> weight, any sum; empty where there is one head."""
    contributions: tuple[Contribution, ...] = ()
    forgotten: tuple[Forgotten, ...] = ()
    """Only where `diagnostics.forgetting` asks for it."""
    flags: tuple[str, ...] = ()
    """`degenerate`, `noise_dominated`, `starved` (in some super-epoch), `shift_suspected` (the answer's score on the
    test part differs from that on the part it was chosen on by more than their errors explain)."""
    metric: str = "accuracy"
    """The primary metric."""
    test_score: float | None = None
    """The primary metric of the answer."""
    test_score_se: float | None = None
    test_accuracy: float | None
    """Of the answer; `None` for tasks without one."""
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
    | PretrainEpoch
    | EstimateStarted
    | EstimateEpoch
    | EstimateCompleted
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

    phase: Phase | Literal["encoding"]
    """`encoding`: frozen encoders compute features, before the first event."""
    percent: float
    """Of the training."""
    eta_seconds: float | None
    super_epoch: int | None
    epoch: int
    epochs: int
    step: int
    steps: int
    detail: str | None = None
    """What is being done where no step is counted: `features of 'rgb': 1,200 of 5,000`."""
    updated_at: float
    """Seconds since the Unix epoch; proves that the loop advances, which a heartbeat does not."""
