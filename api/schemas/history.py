"""The history that the service exists for: super-epochs and metrics."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.schemas.base import Timestamp, WireModel
from core.jobs.views import MetricPoint, SuperEpochView


class HeadEstimateOut(WireModel):
    """What the estimate measured for one head (Wang et al. 2020, section 2.2). Losses are cross-entropies in nats."""

    head: str
    train_before: float | None
    train_after: float | None
    holdout_before: float | None
    holdout_after: float | None
    G: float | None
    """Generalisation gained: `L_V(N) - L_V(N+n)`; positive is good."""
    G_se: float | None
    O: float | None
    """Change of overfitting."""
    O_se: float | None
    ogr: float | None
    """`|O / G|`; `null` where G is 0."""
    ogr_se: float | None
    weight: float
    """The weight that steers the training."""
    weight_low: float | None
    weight_high: float | None
    learnt: bool
    flags: Annotated[list[str], Field(default_factory=list)]
    """`not_estimated`, `not_finite`, `negative_gain` (it got worse), `noise_dominated` (|G| is below its own noise),
    `capped` (it would have had more than the equal share for it), `one_group` (V is a single group: the errors cannot
    see how another would differ), `starved` (the fused head, below a quarter of the equal share: it lives on the final
    fine-tune), `not_trained` (a trajectory: it had no weight in the super-epoch that was looked at)."""


class CostOut(WireModel):
    """What a part of the run cost."""

    seconds: float
    samples: int
    """Forward-and-backward passes of one sample through one head's network."""
    measured: int = 0
    """Samples that went forward through one head's network only to be measured for the estimate."""


class SuperEpochOut(WireModel):
    """The weights of one super-epoch and all that led to them."""

    object: Literal["job.super_epoch"] = "job.super_epoch"
    job_id: str
    super_epoch: int
    """0-based; the list's cursor."""
    first_epoch: int
    """0-based epoch of the run at which these weights begin."""
    epochs: int
    policy: str
    """`shrunk`, `paper`, `correlated`; or `equal`, `fixed`, `naive`, `unimodal`, `warm_up`: not estimated."""
    weights: dict[str, float]
    """Head -> weight."""
    heads: list[HeadEstimateOut]
    alternatives: dict[str, dict[str, float]]
    """What each known policy would have said, before ceiling, smoothing and floors: policy -> head -> weight."""
    degenerate: bool
    reason: str | None
    cost: CostOut
    seq: int
    """The event it came with."""
    created_at: Timestamp

    @classmethod
    def of(cls, view: SuperEpochView) -> SuperEpochOut:
        """The wire form of a super-epoch."""
        return cls(
            job_id=view.job_id,
            super_epoch=view.super_epoch,
            first_epoch=view.first_epoch,
            epochs=view.epochs,
            policy=view.policy,
            weights=view.weights,
            heads=[HeadEstimateOut.model_validate(head) for head in view.heads],
            alternatives=view.alternatives,
            degenerate=view.degenerate,
            reason=view.reason,
            cost=CostOut.model_validate(view.cost),
            seq=view.seq,
            created_at=view.created_at,
        )


class MetricOut(WireModel):
    """One head's loss or one of its metrics on one part of the data."""

    object: Literal["job.metric"] = "job.metric"
    scope: str
    """`pretrain`, `epoch`, `fine_tune` or `test`."""
    epoch: int
    head: str
    split: str
    metric: str
    """`loss`, or a metric of the task.

    `accuracy` and `balanced_accuracy` for classes; `auc` and `average_precision` too where there are two;
    `mean_average_precision` and `auc` for labels; `r2`, `rmse` and `mae` (in the target's unit) for a regression."""
    value: float | None
    """`null`: it was not finite."""
    se: float | None
    """Its standard error, where there is one: of losses and accuracies, and of the primary metric at the end."""
    seq: int
    """The event it came with."""

    @classmethod
    def of(cls, point: MetricPoint) -> MetricOut:
        """The wire form of a point."""
        return cls(
            scope=point.scope,
            epoch=point.epoch,
            head=point.head,
            split=point.split,
            metric=point.metric,
            value=point.value,
            se=point.se,
            seq=point.seq,
        )
