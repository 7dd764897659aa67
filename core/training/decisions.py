"""The event `super_epoch.weights`: what was estimated, or what the strategy says without estimating."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.blend import Decision, HeadWeight, Steering, SuperEpoch, starved
from core.events import Cost, HeadEstimate, SuperEpochWeights
from core.events.types import finite
from core.spec import (
    FUSED,
    EnsembleBlending,
    FixedBlending,
    NaiveBlending,
    OfflineBlending,
    OgmGeBlending,
    OnlineBlending,
)
from core.spec.recipe import Blending


def estimated(
    now: SuperEpoch,
    decision: Decision,
    spent: Mapping[str, float],
    flags: Mapping[str, tuple[str, ...]] | None = None,
) -> SuperEpochWeights:
    """Weights that follow from an estimate which cost `spent` (`seconds`, `samples`, `measured`).

    `flags` are the estimator's own, by head; the decision's stand before them.
    """
    return SuperEpochWeights(
        super_epoch=now.index,
        first_epoch=now.first_epoch,
        epochs=now.epochs,
        policy=decision.policy,
        heads=tuple(_estimated(head, found, (flags or {}).get(head, ())) for head, found in decision.heads.items()),
        alternatives=decision.alternatives,
        degenerate=decision.degenerate,
        reason=decision.reason,
        cost=cost_of(spent),
    )


def given(
    now: SuperEpoch, policy: str, weights: Mapping[str, float], spent: Mapping[str, float] | None = None
) -> SuperEpochWeights:
    """Weights without an estimate; `spent` where the model was looked at for the sake of a later one."""
    return SuperEpochWeights(
        super_epoch=now.index,
        first_epoch=now.first_epoch,
        epochs=now.epochs,
        policy=policy,
        heads=tuple(
            # Weights chosen by hand can starve the fused head; a strategy that leaves it out means to.
            _not_estimated(head, weight, ("starved",) if policy == "fixed" and _starves(head, weights) else ())
            for head, weight in weights.items()
        ),
        alternatives={},
        degenerate=False,
        reason=None,
        cost=Cost(seconds=0.0, samples=0) if spent is None else cost_of(spent),
    )


def constant_weights(blending: Blending, heads: Sequence[str]) -> tuple[str, dict[str, float]]:
    """The name and the weights (sum 1) of a strategy that estimates nothing."""
    if isinstance(blending, FixedBlending):
        total = sum(blending.weights.values())
        return "fixed", {head: blending.weights.get(head, 0.0) / total for head in heads}
    if isinstance(blending, NaiveBlending | OgmGeBlending):
        return blending.strategy, {head: float(head == FUSED) for head in heads}
    if isinstance(blending, EnsembleBlending):
        return blending.strategy, {head: float(head != FUSED) / (len(heads) - 1) for head in heads}
    return blending.strategy, dict.fromkeys(heads, 1.0 / len(heads))


def warm_up(heads: Sequence[str]) -> tuple[str, dict[str, float]]:
    """The name and the weights of the epochs before the first estimate (`blending.warm_up`): equal ones."""
    return "warm_up", dict.fromkeys(heads, 1.0 / len(heads))


def steering(blending: OfflineBlending | OnlineBlending, heads: Sequence[str]) -> Steering:
    """How a strategy turns its estimates into weights."""
    floor = blending.floor if isinstance(blending.floor, dict) else dict.fromkeys(heads, blending.floor)
    return Steering(
        policy=blending.policy,
        cap_noise=blending.cap_noise,
        smoothing=blending.smoothing if isinstance(blending, OnlineBlending) else 0.0,
        floors={head: share / len(heads) for head, share in floor.items()},
        joint=FUSED,
    )


def cost_of(spent: Mapping[str, float]) -> Cost:
    """What `Counters` hold, as an event part."""
    return Cost(seconds=spent["seconds"], samples=int(spent["samples"]), measured=int(spent["measured"]))


def _estimated(head: str, found: HeadWeight, flags: tuple[str, ...]) -> HeadEstimate:
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
        flags=(*found.flags, *flags),
    )


def _starves(head: str, weights: Mapping[str, float]) -> bool:
    return head == FUSED and starved(weights[head], len(weights))


def _not_estimated(head: str, weight: float, flags: tuple[str, ...]) -> HeadEstimate:
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
        flags=("not_estimated", *flags),
    )
