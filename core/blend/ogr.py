"""Per-sample losses before and after -> G, O and OGR with standard errors (paper, sections 2.2 to 2.4).

Shape letters: T = rows of the training subset that is measured (T'), V = rows of the held-out part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.blend.errors import Codes, mean_and_error

Losses = NDArray[np.float64]

NOISE_Z = 1.96
"""A head learnt something if |G| exceeds so many of its standard errors (two-sided 5 %)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLosses:
    """One head's per-sample losses in nats, on the same rows in the same order before and after n epochs."""

    train_before: Losses
    """[T]"""
    train_after: Losses
    """[T]"""
    holdout_before: Losses
    """[V]"""
    holdout_after: Losses
    """[V]"""

    def __post_init__(self) -> None:
        for part in ("train", "holdout"):
            before, after = getattr(self, f"{part}_before"), getattr(self, f"{part}_after")
            if before.shape != after.shape or before.ndim != 1 or before.size == 0:
                raise ValueError(
                    f"{part} losses before and after must be equally long, non-empty vectors; "
                    f"got shapes {before.shape} and {after.shape}"
                )

    @property
    def train_gain(self) -> Losses:
        """[T] by how much each training sample's loss fell."""
        return self.train_before - self.train_after

    @property
    def holdout_gain(self) -> Losses:
        """[V] by how much each held-out sample's loss fell."""
        return self.holdout_before - self.holdout_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Overfitting:
    """What a head's estimate says. Everything is in nats but `ogr`, which has no unit."""

    train_before: float
    train_after: float
    holdout_before: float
    holdout_after: float
    G: float
    """Generalisation `L_V(N) - L_V(N+n)`; positive is good."""
    G_se: float
    G_noise: float
    """The larger of `G_se` and the standard error that G had if V's rows were any rows, not drawn by strata or groups.
    A head that knows nothing of its inputs loses alike on all rows of a class: within classes its gain has no error at
    all, however little it means."""
    O: float
    """Growth of the overfitting `L_V - L_T` between the two checkpoints."""
    O_se: float
    ogr: float
    """`|O / G|` (Eq. 3); infinite where G is 0 and O is not, NaN where both are 0."""
    ogr_se: float
    holdout_rows: int
    """Rows of V behind it."""

    @property
    def finite(self) -> bool:
        """Whether the losses were numbers at all; a copy that diverged has none."""
        return math.isfinite(self.G) and math.isfinite(self.O)

    @property
    def learnt(self) -> bool:
        """Whether |G| stands out of its own noise (`G_noise`). An underfitted head has tiny O and tiny G: OGR alone
        cannot tell.

        A V of a single row shows no noise, and proves nothing.
        """
        return self.finite and self.holdout_rows > 1 and abs(self.G) > NOISE_Z * self.G_noise


def overfitting(
    losses: HeadLosses,
    *,
    train_groups: Codes | None = None,
    holdout_groups: Codes | None = None,
    train_strata: Codes | None = None,
    holdout_strata: Codes | None = None,
) -> Overfitting:
    """G, O, OGR and their standard errors.

    `train_groups` [T] and `holdout_groups` [V] are the codes of the rows' groups; left out, or where a part is a single
    group, its rows are taken as independent. `train_strata` and `holdout_strata` are those of the strata by which the
    rows were drawn; left out, or where groups count, they were drawn without.

    `dO = O(N+n) - O(N) = gain_T - gain_V`. The losses before and after belong to the same rows, so the errors are those
    of the *paired* differences; T and V share no row, so their errors add: `SE(O)^2 = SE(gain_T)^2 + SE(gain_V)^2`, and
    `Cov(O, G) = -SE(G)^2`. `SE(OGR)` is first-order (delta method).
    """
    gain_train, gain_holdout = losses.train_gain, losses.holdout_gain
    G, G_se = mean_and_error(gain_holdout, holdout_groups, holdout_strata)
    gain_T, gain_T_se = mean_and_error(gain_train, train_groups, train_strata)
    O = gain_T - G
    O_se = math.hypot(gain_T_se, G_se)
    ogr, ogr_se = _ratio(O, O_se, G, G_se)
    return Overfitting(
        train_before=float(np.mean(losses.train_before)),
        train_after=float(np.mean(losses.train_after)),
        holdout_before=float(np.mean(losses.holdout_before)),
        holdout_after=float(np.mean(losses.holdout_after)),
        G=G,
        G_se=G_se,
        G_noise=max(G_se, mean_and_error(gain_holdout)[1]),
        O=O,
        O_se=O_se,
        ogr=ogr,
        ogr_se=ogr_se,
        holdout_rows=len(gain_holdout),
    )


def _ratio(O: float, O_se: float, G: float, G_se: float) -> tuple[float, float]:
    if G == 0.0 or not (math.isfinite(G) and math.isfinite(O)):
        return (math.nan if O == 0.0 or not math.isfinite(O) else math.inf), math.nan
    ratio = O / G
    variance = (O_se**2 + ratio**2 * G_se**2 + 2.0 * ratio * G_se**2) / G**2
    return abs(ratio), math.sqrt(max(variance, 0.0))
