"""How G and O of every head are found before a super-epoch: one module per estimator, one shape of answer.

| `blending.estimator.type` | what it does | what it costs |
|---|---|---|
| `exact` | trains a copy of each head alone for n epochs (Algorithm 1) | about twice the training it estimates |
| `gradient` | steps each copy a few batches, differentiates the losses along that (Eq. 4) | a fixed number of batches |
| `trajectory` | looks at the live model's own heads between two super-epochs | one pass over T and V in the whole run |
"""

from core.spec.recipe import Estimator, ExactEstimator, GradientEstimator
from core.training.estimators.base import (
    PARTS,
    Estimate,
    Found,
    Ground,
    LiveLosses,
    Spent,
    losses_of,
    samples_of,
    strata_of,
)
from core.training.estimators.exact import ExactEstimate, subset_size
from core.training.estimators.gradient import GradientEstimate
from core.training.estimators.trajectory import TrajectoryEstimate

__all__ = [
    "PARTS",
    "Estimate",
    "Found",
    "Ground",
    "LiveLosses",
    "Spent",
    "losses_of",
    "open_estimate",
    "planned",
    "strata_of",
]


def open_estimate(spec: Estimator, ground: Ground) -> Estimate:
    """The estimate that `spec` asks for, before its first step."""
    if isinstance(spec, ExactEstimator):
        return ExactEstimate(ground, spec)
    if isinstance(spec, GradientEstimator):
        return GradientEstimate(ground, spec)
    return TrajectoryEstimate(ground)


def planned(spec: Estimator, *, rows: int, batch_size: int, epochs: int, heads: int) -> int:
    """Samples (forward and backward, summed over heads) of the estimate of a super-epoch of `epochs` epochs."""
    if isinstance(spec, ExactEstimator):
        return subset_size(spec, rows) * epochs * heads
    if isinstance(spec, GradientEstimator):
        return samples_of(rows, batch_size, spec.steps) * heads
    return 0
