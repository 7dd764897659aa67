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


class CostOut(WireModel):
    """What a part of the run cost."""

    seconds: float
    samples: int


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
    weights: dict[str, float]
    """Head -> weight."""
    heads: list[HeadEstimateOut]
    alternatives: dict[str, dict[str, float]]
    """What each known policy would have said: policy -> head -> weight."""
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
    """One head's loss or accuracy on one part of the data."""

    object: Literal["job.metric"] = "job.metric"
    scope: str
    """`epoch`, `fine_tune` or `test`."""
    epoch: int
    head: str
    split: str
    metric: str
    """`loss` or `accuracy`."""
    value: float | None
    """`null`: it was not finite."""
    se: float | None
    """Its standard error."""
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
