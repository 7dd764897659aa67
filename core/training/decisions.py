"""The event `super_epoch.weights`: what was estimated, or what the strategy says without estimating."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.blend import Decision, HeadWeight, SuperEpoch
from core.events import Cost, HeadEstimate, SuperEpochWeights
from core.events.types import finite
from core.spec import FUSED, FixedBlending, NaiveBlending
from core.spec.recipe import Blending


def estimated(now: SuperEpoch, decision: Decision, spent: Mapping[str, float]) -> SuperEpochWeights:
    """Weights that follow from an estimate which cost `spent` (`seconds`, `samples`)."""
    return SuperEpochWeights(
        super_epoch=now.index,
        first_epoch=now.first_epoch,
        epochs=now.epochs,
        policy=decision.policy,
        heads=tuple(_estimated(head, found) for head, found in decision.heads.items()),
        alternatives=decision.alternatives,
        degenerate=decision.degenerate,
        reason=decision.reason,
        cost=Cost(seconds=spent["seconds"], samples=int(spent["samples"])),
    )


def given(now: SuperEpoch, policy: str, weights: Mapping[str, float]) -> SuperEpochWeights:
    """The weights of a strategy that estimates nothing."""
    return SuperEpochWeights(
        super_epoch=now.index,
        first_epoch=now.first_epoch,
        epochs=now.epochs,
        policy=policy,
        heads=tuple(_not_estimated(head, weight) for head, weight in weights.items()),
        alternatives={},
        degenerate=False,
        reason=None,
        cost=Cost(seconds=0.0, samples=0),
    )


def constant_weights(blending: Blending, heads: Sequence[str]) -> tuple[str, dict[str, float]]:
    """The name and the weights (sum 1) of a strategy that estimates nothing."""
    if isinstance(blending, FixedBlending):
        total = sum(blending.weights.values())
        return "fixed", {head: blending.weights.get(head, 0.0) / total for head in heads}
    if isinstance(blending, NaiveBlending):
        return "naive", {head: float(head == FUSED) for head in heads}
    return blending.strategy, dict.fromkeys(heads, 1.0 / len(heads))


def _estimated(head: str, found: HeadWeight) -> HeadEstimate:
    measured = found.overfitting
    return HeadEstimate(
        head=head,
        train_before=finite(measured.train_before),
        train_after=finite(measured.train_after),
        holdout_before=finite(measured.holdout_before),
        holdout_after=finite(measured.holdout_after),
        G=finite(measured.G),
        G_se=finite(measured.G_se),
        O=finite(measured.O),
        O_se=finite(measured.O_se),
        ogr=finite(measured.ogr),
        ogr_se=finite(measured.ogr_se),
        weight=found.weight,
        weight_low=found.low,
        weight_high=found.high,
        learnt=measured.learnt,
        flags=found.flags,
    )


def _not_estimated(head: str, weight: float) -> HeadEstimate:
    return HeadEstimate(
        head=head,
        train_before=None,
        train_after=None,
        holdout_before=None,
        holdout_after=None,
        G=None,
        G_se=None,
        O=None,
        O_se=None,
        ogr=None,
        ogr_se=None,
        weight=weight,
        weight_low=None,
        weight_high=None,
        learnt=False,
        flags=("not_estimated",),
    )
