"""From every head's losses to the weights of a super-epoch, and how sure one can be of them.

Policy, ceiling for noise, smoothing over super-epochs, floors, in this order: `core.blend.policies`, `ceilings`,
`Steering.smoothing`, `floors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.blend.bootstrap import redraw
from core.blend.ceilings import with_ceiling
from core.blend.errors import Codes, clusters, covariance_of_means
from core.blend.floors import with_floors
from core.blend.ogr import NOISE_Z, HeadLosses, Overfitting, overfitting
from core.blend.policies import POLICIES, policy_weights

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

INTERVAL = (5.0, 95.0)
"""Percentiles of the reported interval: 90 %."""
STARVED = 0.25
"""The joint head counts as starved below this share of the equal weight 1/K: its gradient is then less than a quarter
of what the auxiliary-loss baseline gives it, at a learning rate that was chosen for weight 1. The fused weights in the
paper's tables (.36 and .16 of three heads, .13 of four) all lie above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """How estimates become the weights in force: the policy, then what is done to its weights, in this order."""

    policy: str
    """A name of `POLICIES`."""
    cap_noise: bool = False
    """Whether a head whose gain is within its noise gets no more than the equal weight 1/K. Without it, one that has
    nothing to learn from may get the largest: noise of G over the square of a smaller noise of O."""
    smoothing: float = 0.0
    """`w = smoothing * previous + (1 - smoothing) * new`, in [0, 1): an exponential moving average over super-epochs.
    The previous weights are those that were in force, a warm-up's included; without any, the new ones stand alone."""
    floors: Mapping[str, float] = field(default_factory=dict)
    """Head -> least weight; a head left out has none. Their sum is at most 1."""
    joint: str | None = None
    """The head over all features, flagged `starved` where its weight is small; None: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadWeight:
    """A head's estimate and the weight that follows from it."""

    overfitting: Overfitting
    weight: float
    low: float
    high: float
    """Bootstrap 90 % interval of the weight: how else V, and a T' that is a sample of T, could have fallen."""
    flags: tuple[str, ...]
    """`not_finite`: its losses are no numbers; `negative_gain`: it got worse; `noise_dominated`: |G| is below its
    noise (`Overfitting.learnt`); `capped`: so it is held at the equal weight; `one_group`: V is a single group, and no
    error here can see how another group would differ; `starved`: the joint head has too little weight to learn from, it
    needs the final fine-tune."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The weights of one super-epoch."""

    policy: str
    heads: dict[str, HeadWeight]
    alternatives: dict[str, dict[str, float]]
    """Every policy's weights, whichever steers, before ceiling, smoothing and floors: policy -> head -> weight."""
    degenerate: bool
    reason: str | None

    @property
    def weights(self) -> dict[str, float]:
        """Head -> weight; they sum to 1."""
        return {name: head.weight for name, head in self.heads.items()}


def decide(
    losses: Mapping[str, HeadLosses],
    steering: Steering,
    *,
    previous: Mapping[str, float] | None,
    seed: int,
    train_groups: Codes | None = None,
    holdout_groups: Codes | None = None,
    train_strata: Codes | None = None,
    holdout_strata: Codes | None = None,
    train_population: int | None = None,
) -> Decision:
    """The weights of a super-epoch from every head's losses.

    If no head has a positive G, the previous weights are kept (uniform where there are none), and the record says so.
    `seed` makes the bootstrap repeatable. `train_groups` [T] and `holdout_groups` [V] are the codes of the rows'
    groups, in the order of the losses; left out, rows are taken as independent. `train_strata` [T] and `holdout_strata`
    [V] are the codes of the strata (classes) by which the rows were drawn; left out, they were drawn without. Where
    both are given for a part, groups win, unless the part is a single group.

    `train_population` is the number of rows of T, the whole. `L_T` is defined as the mean over T (or a T'), whatever V
    might have been, so the *interval* redraws T' only in so far as T' is a sample of T (finite-population correction),
    and not at all where T' is T; left out, T' counts as a sample of something without end. The *errors*, and SE(O) in
    the policies, always hold T's part: there T stands for the data that it is a sample of.

    The order of `losses` is the order of the result and changes no number but through the order of floating-point sums.
    Raises ValueError for groups or strata of another length than the losses.
    """
    names = tuple(losses)
    told = {
        "train_groups": train_groups,
        "holdout_groups": holdout_groups,
        "train_strata": train_strata,
        "holdout_strata": holdout_strata,
    }
    measured = {name: overfitting(losses[name], **told) for name in names}
    evidence = _Evidence(losses, **told, train_population=train_population)
    G = np.array([measured[name].G for name in names])
    O = np.array([measured[name].O for name in names])
    O_se = np.array([measured[name].O_se for name in names])
    O_cov = evidence.covariance()
    raw = {known: policy_weights(known, G, O, O_se, O_cov) for known in POLICIES}
    degenerate = not bool(np.any(raw[steering.policy] > 0.0))
    before = None if not previous else np.array([previous[name] for name in names])
    fallback = np.full(len(names), 1.0 / len(names)) if before is None else before
    floors = np.array([steering.floors.get(name, 0.0) for name in names])

    noisy = np.array([not measured[name].learnt for name in names])

    def in_force(weights: Floats, noisy: Mask) -> Floats:
        held = with_ceiling(weights, noisy) if steering.cap_noise else weights
        filled = np.where(held.any(axis=-1, keepdims=True), held, fallback)
        return with_floors(_smoothed(filled, before, steering.smoothing), floors)

    chosen = in_force(raw[steering.policy], noisy)
    low, high = np.percentile(in_force(*evidence.redrawn_weights(steering.policy, seed)), INTERVAL, axis=0)
    capped = steering.cap_noise & noisy & (raw[steering.policy] > 1.0 / len(names))
    one_group = holdout_groups is not None and clusters(holdout_groups, evidence.holdout.shape[0]) is None
    return Decision(
        policy=steering.policy,
        heads={
            name: HeadWeight(
                overfitting=measured[name],
                weight=float(chosen[k]),
                low=float(low[k]),
                high=float(high[k]),
                flags=_flags(
                    measured[name],
                    capped=bool(capped[k]),
                    one_group=one_group,
                    starved=name == steering.joint and starved(float(chosen[k]), len(names)),
                ),
            )
            for k, name in enumerate(names)
        },
        alternatives={
            known: {name: float(weights[k]) for k, name in enumerate(names)}
            for known, weights in (
                (known, fallback if not weights.any() else weights) for known, weights in raw.items()
            )
        },
        degenerate=degenerate,
        reason=_reason(measured, previous is not None) if degenerate else None,
    )


def starved(weight: float, heads: int) -> bool:
    """Whether a joint head with this weight among so many heads gets too little to learn from."""
    return weight < STARVED / heads


def _smoothed(weights: Floats, before: Floats | None, smoothing: float) -> Floats:
    if before is None or smoothing == 0.0:
        return weights
    return smoothing * before + (1.0 - smoothing) * weights


class _Evidence:
    """All heads' per-sample gains side by side: what is known of how O varies, within and between heads."""

    def __init__(
        self,
        losses: Mapping[str, HeadLosses],
        *,
        train_groups: Codes | None,
        holdout_groups: Codes | None,
        train_strata: Codes | None,
        holdout_strata: Codes | None,
        train_population: int | None,
    ) -> None:
        self.train: Floats = np.stack([head.train_gain for head in losses.values()], axis=1)
        """[T, K]"""
        self.holdout: Floats = np.stack([head.holdout_gain for head in losses.values()], axis=1)
        """[V, K]"""
        self._train_groups, self._train_strata = train_groups, train_strata
        self._holdout_groups, self._holdout_strata = holdout_groups, holdout_strata
        self._train_population = train_population

    def covariance(self) -> Floats:
        """Sampling covariance [K, K] of O between heads. T' and V share no row, so theirs add."""
        return covariance_of_means(self.train, self._train_groups, self._train_strata) + covariance_of_means(
            self.holdout, self._holdout_groups, self._holdout_strata
        )

    def redrawn_weights(self, policy: str, seed: int) -> tuple[Floats, Mask]:
        """The policy's weights [B, K] for redrawn rows of V and T' (see `decide` for which of T'); a row of zeros where
        no G is positive. And whether each G [B, K] is then within its noise (`Overfitting.G_noise`).

        Their plain percentiles are the interval of a weight: over redraws of V and T' they hold the mean of the weights
        about as often as they say, and rather too often than too seldom (`tests/unit/blend/coverage.py` measures it).
        Tried beside them, the normal, the basic and the bias-corrected interval (on the plain and on the arcsine scale)
        fall far short where a G or an O is near 0: they reflect or shift a distribution that is cut off at an end.
        """
        rng = np.random.default_rng(seed)
        wanted = policy == "correlated"
        V = redraw(self.holdout, self._holdout_groups, rng, strata=self._holdout_strata, covariances=wanted)
        T = redraw(
            self.train,
            self._train_groups,
            rng,
            strata=self._train_strata,
            population=self._train_population,
            covariances=wanted,
        )
        O_cov = None if V.covariances is None or T.covariances is None else V.covariances + T.covariances
        weights = policy_weights(policy, V.means, T.means - V.means, np.sqrt(V.variances + T.variances), O_cov)
        noise = np.sqrt(np.maximum(V.variances, np.diagonal(covariance_of_means(self.holdout))))
        certain = self.holdout.shape[0] > 1
        return weights, ~(certain & (np.abs(V.means) > NOISE_Z * noise))


def _flags(measured: Overfitting, *, capped: bool, one_group: bool, starved: bool) -> tuple[str, ...]:
    flags = []
    if not measured.finite:
        flags.append("not_finite")
    else:
        if measured.G <= 0.0:
            flags.append("negative_gain")
        if not measured.learnt:
            flags.append("noise_dominated")
    if capped:
        flags.append("capped")
    if one_group:
        flags.append("one_group")
    if starved:
        flags.append("starved")
    return tuple(flags)


def _reason(measured: Mapping[str, Overfitting], has_previous: bool) -> str:
    gains = ", ".join(
        f"{name} {head.G:.4g}" if head.finite else f"{name} not finite" for name, head in measured.items()
    )
    kept = "the previous super-epoch's weights are kept" if has_previous else "the weights are uniform"
    return f"no head generalised (G: {gains}); {kept}"
