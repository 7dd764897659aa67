"""G and O -> the weights of the heads (paper, Proposition 1 and Algorithm 1), and how sure one can be of them.

The printed normaliser `Z = sum_k <grad L*, v_k> / (2 sigma_k^2)` would make the weights sum to 2, against the paper's
own constraint and every weight set in its tables; here they are normalised by the plain sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.blend.ogr import HeadLosses, Overfitting, overfitting

Floats = NDArray[np.float64]

BOOTSTRAP_SAMPLES = 400
INTERVAL = (5.0, 95.0)
"""Percentiles of the reported interval: 90 %."""
_CELLS_AT_ONCE = 4_000_000
"""Bootstrap counts held in memory at once (8 bytes each)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadWeight:
    """A head's estimate and the weight that follows from it."""

    overfitting: Overfitting
    weight: float
    low: float
    high: float
    """Bootstrap 90 % interval of the weight."""
    flags: tuple[str, ...]
    """`not_finite`: its losses are no numbers; `negative_gain`: it got worse; `noise`: |G| is below its noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The weights of one super-epoch."""

    policy: str
    heads: dict[str, HeadWeight]
    alternatives: dict[str, dict[str, float]]
    """Every policy's weights, whichever steers: policy -> head -> weight."""
    degenerate: bool
    reason: str | None

    @property
    def weights(self) -> dict[str, float]:
        """Head -> weight; they sum to 1."""
        return {name: head.weight for name, head in self.heads.items()}


def paper(G: Floats, O: Floats, O_se: Floats) -> Floats:
    """`w_k ~ G_k / O_k^2` (Algorithm 1), last axis = heads. Negative G gives 0, never `abs`. `O_se` is not used."""
    return _share(G, np.abs(O))


def shrunk(G: Floats, O: Floats, O_se: Floats) -> Floats:
    """`w_k ~ max(G_k, 0) / (O_k^2 + SE(O_k)^2)`: an O that happens to be near 0 within its noise buys no weight."""
    return _share(G, np.hypot(O, O_se))


POLICIES: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {"paper": paper, "shrunk": shrunk}


def policy_weights(policy: str, G: Floats, O: Floats, O_se: Floats) -> Floats:
    """Weights [..., K] of a named policy for G, O and SE(O) of that shape; a row of zeros where no G is positive."""
    return POLICIES[policy](G, O, O_se)


def _share(G: Floats, root: Floats) -> Floats:
    """`max(G, 0) / root^2`, normalised over the last axis, without overflow.

    Where `root` is 0 for heads with positive gain, the limit is taken: those heads share the whole weight in proportion
    to their gains. Rows without a positive gain stay 0. Heads that are not finite count as not positive.
    """
    usable = np.isfinite(G) & np.isfinite(root) & (G > 0.0)
    gain = np.where(usable, G, 0.0)
    perfect = usable & (root == 0.0)
    with np.errstate(divide="ignore"):
        logs = np.where(usable & ~perfect, np.log(gain) - 2.0 * np.log(np.where(root > 0.0, root, 1.0)), -np.inf)
    top = np.max(logs, axis=-1, keepdims=True)
    ordinary = np.where(np.isfinite(logs), np.exp(logs - np.where(np.isfinite(top), top, 0.0)), 0.0)
    raw = np.where(perfect.any(axis=-1, keepdims=True), np.where(perfect, gain, 0.0), ordinary)
    total = raw.sum(axis=-1, keepdims=True)
    shares: Floats = np.divide(raw, total, out=np.zeros_like(raw), where=total > 0.0)
    return shares


def decide(
    losses: Mapping[str, HeadLosses], *, policy: str, previous: Mapping[str, float] | None, seed: int
) -> Decision:
    """The weights of a super-epoch from every head's losses.

    If no head has a positive G, the previous weights are kept (uniform where there are none), and the record says so.
    `seed` makes the bootstrap repeatable. The order of `losses` is the order of the result and changes no number but
    through the order of floating-point sums.
    """
    names = tuple(losses)
    measured = {name: overfitting(losses[name]) for name in names}
    G = np.array([measured[name].G for name in names])
    O = np.array([measured[name].O for name in names])
    O_se = np.array([measured[name].O_se for name in names])
    raw = {known: policy_weights(known, G, O, O_se) for known in POLICIES}
    degenerate = not bool(np.any(raw[policy] > 0.0))
    fallback = np.array([previous[name] for name in names] if previous else [1.0 / len(names)] * len(names))
    low, high = _interval(losses, policy, fallback, seed)
    chosen = fallback if degenerate else raw[policy]
    return Decision(
        policy=policy,
        heads={
            name: HeadWeight(
                overfitting=measured[name],
                weight=float(chosen[k]),
                low=float(low[k]),
                high=float(high[k]),
                flags=_flags(measured[name]),
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


def _flags(measured: Overfitting) -> tuple[str, ...]:
    if not measured.finite:
        return ("not_finite",)
    flags = []
    if measured.G <= 0.0:
        flags.append("negative_gain")
    if not measured.learnt:
        flags.append("noise")
    return tuple(flags)


def _reason(measured: Mapping[str, Overfitting], has_previous: bool) -> str:
    gains = ", ".join(
        f"{name} {head.G:.4g}" if head.finite else f"{name} not finite" for name, head in measured.items()
    )
    kept = "the previous super-epoch's weights are kept" if has_previous else "the weights are uniform"
    return f"no head generalised (G: {gains}); {kept}"


def _interval(losses: Mapping[str, HeadLosses], policy: str, fallback: Floats, seed: int) -> tuple[Floats, Floats]:
    """Percentile bootstrap of the weights [K]: rows of T' and of V are redrawn, the same rows for every head."""
    gain_T = np.stack([head.train_gain for head in losses.values()], axis=1)
    gain_V = np.stack([head.holdout_gain for head in losses.values()], axis=1)
    rng = np.random.default_rng(seed)
    G, G_variance = _redraw(gain_V, rng)
    T, T_variance = _redraw(gain_T, rng)
    weights = policy_weights(policy, G, T - G, np.sqrt(G_variance + T_variance))
    weights = np.where(weights.any(axis=-1, keepdims=True), weights, fallback)
    low, high = np.percentile(weights, INTERVAL, axis=0)
    return low, high


def _redraw(gains: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Bootstrap means [B, K] and squared standard errors of those means [B, K] of per-sample gains [N, K]."""
    N, K = gains.shape
    means, variances = np.empty((BOOTSTRAP_SAMPLES, K)), np.empty((BOOTSTRAP_SAMPLES, K))
    centre = np.where(np.isfinite(gains), gains, np.nan).mean(axis=0)
    centred = gains - centre
    step = max(1, _CELLS_AT_ONCE // N)
    uniform = np.full(N, 1.0 / N)
    for start in range(0, BOOTSTRAP_SAMPLES, step):
        stop = min(start + step, BOOTSTRAP_SAMPLES)
        shares = rng.multinomial(N, uniform, size=stop - start) / N
        mean = shares @ centred
        spread = shares @ centred**2 - mean**2
        means[start:stop] = mean + centre
        variances[start:stop] = np.maximum(spread, 0.0) / max(N - 1, 1)
    return means, variances


def uniform(names: tuple[str, ...]) -> dict[str, float]:
    """Equal weights."""
    return dict.fromkeys(names, 1.0 / len(names))
