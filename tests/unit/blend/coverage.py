"""How often the 90 % interval of a weight holds the mean of the weights over redraws of V and T'.

    python -m tests.unit.blend.coverage        # 2000 redraws of every regime, some minutes

Per-sample gains come from known distributions, skewed as losses are, and half of a row's deviation is common to all
heads. Shape letters: R redraws, K heads.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from core.blend import HeadLosses, Steering, decide


@dataclass(frozen=True, kw_only=True)
class Regime:
    """What the heads gain per sample on V (`G`) and on T' (`T`), how far it scatters, and how many rows are seen."""

    G: tuple[float, ...]
    T: tuple[float, ...]
    scatter: tuple[float, ...]
    """Standard deviation between rows, of V and of T' alike."""
    holdout: int
    train: int
    groups: int = 0
    """Groups of V; T' has three times as many. 0: rows are independent."""
    strata: int = 0
    """Strata, all of one size, by which V and T' are drawn. 0: they are drawn without."""
    between: float = field(default=0.5, kw_only=True)
    """Share of the variance that is between groups, or strata, where there are such."""
    fixed_train: bool = False
    """T' is the whole of T, and V alone is drawn anew."""


REGIMES = {
    "clear signal": Regime(G=(0.5, 0.3, 0.4), T=(0.8, 0.9, 0.6), scatter=(0.5, 0.5, 0.5), holdout=300, train=600),
    "one noisy head": Regime(G=(0.5, 0.05, 0.4), T=(0.8, 0.6, 0.6), scatter=(0.5, 1.5, 0.5), holdout=300, train=600),
    "G near zero": Regime(G=(0.02, 0.0, 0.03), T=(0.3, 0.2, 0.4), scatter=(0.5, 0.5, 0.5), holdout=300, train=600),
    "small V": Regime(G=(0.5, 0.3, 0.4), T=(0.8, 0.6, 0.7), scatter=(0.8, 0.8, 0.8), holdout=100, train=400),
    "O near zero": Regime(G=(0.5, 0.3, 0.4), T=(0.52, 0.31, 0.5), scatter=(0.5, 0.5, 0.5), holdout=300, train=600),
    "five heads": Regime(
        G=(0.5, 0.3, 0.4, 0.1, 0.6),
        T=(0.8, 0.6, 0.7, 0.5, 1.0),
        scatter=(0.8, 0.8, 0.8, 0.8, 0.8),
        holdout=200,
        train=400,
    ),
    "12 groups": Regime(
        G=(0.5, 0.3, 0.4), T=(0.8, 0.9, 0.6), scatter=(0.5, 0.5, 0.5), holdout=240, train=720, groups=12
    ),
    "3 groups": Regime(G=(0.5, 0.3, 0.4), T=(0.8, 0.9, 0.6), scatter=(0.5, 0.5, 0.5), holdout=240, train=720, groups=4),
    "20 strata": Regime(
        G=(0.5, 0.3, 0.4), T=(0.8, 0.9, 0.6), scatter=(0.5, 0.5, 0.5), holdout=160, train=400, strata=20, between=0.8
    ),
    "20 strata, T fixed": Regime(
        G=(0.5, 0.3, 0.4),
        T=(0.8, 0.9, 0.6),
        scatter=(0.5, 0.5, 0.5),
        holdout=160,
        train=160,
        strata=20,
        between=0.8,
        fixed_train=True,
    ),
}


@dataclass(frozen=True)
class Coverage:
    """Of each head's weight, in the order of the regime."""

    mean: np.ndarray
    """[K] mean weight over the redraws."""
    covered: np.ndarray
    """[K] share of the redraws whose interval holds that mean."""
    width: np.ndarray
    """[K] mean width of the intervals."""


def coverage(regime: Regime, *, redraws: int, seed: int = 0, policy: str = "shrunk", ignore: bool = False) -> Coverage:
    """Draws V and T' anew `redraws` times and decides each time; groups and strata are told, or else ignored."""
    rng = np.random.default_rng(seed)
    shown = []
    # What makes a stratum differ is no matter of the draw.
    strata = _deviation(rng, regime.strata, len(regime.G))
    kind = "strata" if regime.strata else "groups"
    for redraw in range(redraws):
        V, V_codes = _gains(rng, regime, regime.G, regime.holdout, regime.groups, strata)
        if redraw == 0 or not regime.fixed_train:
            T, T_codes = _gains(rng, regime, regime.T, regime.train, 3 * regime.groups, strata)
        found = decide(
            {f"h{k}": _losses(T[:, k], V[:, k]) for k in range(len(regime.G))},
            Steering(policy=policy),
            previous=None,
            seed=redraw,
            train_population=regime.train if regime.fixed_train else None,
            **({} if ignore else {f"train_{kind}": T_codes, f"holdout_{kind}": V_codes}),
        )
        shown.append([(head.weight, head.low, head.high) for head in found.heads.values()])
    weights, low, high = np.moveaxis(np.array(shown), 2, 0)
    mean = weights.mean(axis=0)
    return Coverage(mean, ((low <= mean) & (mean <= high)).mean(axis=0), (high - low).mean(axis=0))


def _gains(rng, regime, mean, rows, groups, strata):
    """Gains [rows, K] and the rows' groups or strata."""
    K = len(mean)
    apart = groups or len(strata)
    codes = np.arange(rows) % apart if apart else None
    between = regime.between if apart else 0.0
    deviation = np.sqrt(1.0 - between) * _deviation(rng, rows, K)
    if codes is not None:
        deviation += np.sqrt(between) * (_deviation(rng, groups, K) if groups else strata)[codes]
    return np.array(mean) + np.array(regime.scatter) * deviation, codes


def _deviation(rng, rows, K):
    """[rows, K] of mean 0 and variance 1, skewed, half of it common to the heads."""
    common, own = rng.gamma(4.0, 0.5, (rows, 1)) - 2.0, rng.gamma(4.0, 0.5, (rows, K)) - 2.0
    return np.sqrt(0.5) * (common + own)


def _losses(train_gain, holdout_gain):
    return HeadLosses(
        train_before=np.full(len(train_gain), 3.0),
        train_after=3.0 - train_gain,
        holdout_before=np.full(len(holdout_gain), 3.0),
        holdout_after=3.0 - holdout_gain,
    )


def main() -> None:
    """Prints a table of every regime."""
    for name, regime in REGIMES.items():
        found = coverage(regime, redraws=2000)
        print(f"{name:16} mean {found.mean.round(3)} covered {found.covered.round(3)} width {found.width.round(3)}")


if __name__ == "__main__":
    main()
