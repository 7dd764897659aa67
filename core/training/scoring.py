"""What is reported of a task: its metrics by name, the primary one, and their standard errors.

| task | primary (`score`, higher is better) | others |
|---|---|---|
| multiclass | `accuracy` | `balanced_accuracy` |
| binary | `accuracy` | `balanced_accuracy`, `auc`, `average_precision` of the second class |
| multilabel | `mean_average_precision` over labels | `auc`, the mean over labels |
| regression | `r2` | `rmse`, `mae`, in the target's unit |

R^2 and not the negative RMSE: it has no unit, so that one can read it and compare data sets; on one part of the data it
ranks heads as RMSE does, since the part's variance is common to them. Means over labels leave those out of which a part
has no positive sample (AP) or only one kind (AUC).

An objective turns outputs into *evidence*, what the metrics are computed from: see each class.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from core.training import metrics
from core.training.metrics import Array

Evidence = NDArray[Any]

DRAWS = 200
"""Bootstrap draws behind a standard error that has no formula: it is then good to about 5 %."""
FEWEST_DRAWS = 30
"""Where samples and labels are many (good to about 13 %)."""
CELLS = 400_000_000
"""Numbers of evidence, times draws, that one standard error may cost: some seconds."""


class Metrics(Protocol):
    """The metrics of a task."""

    primary: ClassVar[str]
    """The name of the metric that heads are compared by."""
    names: ClassVar[tuple[str, ...]]
    """All metrics, the primary one first."""

    def values(self, evidence: Evidence, counts: Array) -> dict[str, Array]:
        """Every metric by name, the primary one first: [D] values for `counts` [D, N]; NaN where undefined."""

    def score(self, evidence: Evidence, counts: Array) -> Array:
        """The primary metric alone. With the same `counts` for two heads, a paired comparison of any metric."""

    def hits(self, evidence: Evidence) -> NDArray[np.bool_] | None:
        """Which samples [N] were told right; `None` where a sample is not simply right or wrong."""


class MulticlassMetrics:
    """Evidence [N, 2]: the most likely class and the right one."""

    primary: ClassVar[str] = "accuracy"
    names: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy")

    def values(self, evidence: Evidence, counts: Array) -> dict[str, Array]:
        """See `Metrics.values`."""
        return {
            "accuracy": self.score(evidence, counts),
            "balanced_accuracy": metrics.balanced_accuracy(evidence[:, 0], evidence[:, 1], counts),
        }

    def score(self, evidence: Evidence, counts: Array) -> Array:
        """Accuracy."""
        return metrics.mean(self.hits(evidence).astype(np.float64), counts)

    def hits(self, evidence: Evidence) -> NDArray[np.bool_]:
        """Whether the most likely class is the right one."""
        return np.equal(evidence[:, 0], evidence[:, 1])


class BinaryMetrics:
    """Evidence [N, 3]: the log-odds of the second class, the more likely class, and the right one."""

    primary: ClassVar[str] = "accuracy"
    names: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy", "auc", "average_precision")

    def values(self, evidence: Evidence, counts: Array) -> dict[str, Array]:
        """See `Metrics.values`."""
        log_odds, positive = evidence[:, 0], evidence[:, 2] == 1
        return {
            "accuracy": self.score(evidence, counts),
            "balanced_accuracy": metrics.balanced_accuracy(
                evidence[:, 1].astype(np.int64), evidence[:, 2].astype(np.int64), counts
            ),
            "auc": metrics.auc(log_odds, positive, counts),
            "average_precision": metrics.average_precision(log_odds, positive, counts),
        }

    def score(self, evidence: Evidence, counts: Array) -> Array:
        """Accuracy."""
        return metrics.mean(self.hits(evidence).astype(np.float64), counts)

    def hits(self, evidence: Evidence) -> NDArray[np.bool_]:
        """Whether the more likely class is the right one."""
        return np.equal(evidence[:, 1], evidence[:, 2])


class MultilabelMetrics:
    """Evidence [N, 2, K]: a label's log-odds, and 1 where the sample has it."""

    primary: ClassVar[str] = "mean_average_precision"
    names: ClassVar[tuple[str, ...]] = ("mean_average_precision", "auc")

    def values(self, evidence: Evidence, counts: Array) -> dict[str, Array]:
        """See `Metrics.values`."""
        return {
            "mean_average_precision": self.score(evidence, counts),
            "auc": metrics.macro([metrics.auc(odds, has, counts) for odds, has in _labels(evidence)]),
        }

    def score(self, evidence: Evidence, counts: Array) -> Array:
        """Mean average precision."""
        return metrics.macro([metrics.average_precision(odds, has, counts) for odds, has in _labels(evidence)])

    def hits(self, evidence: Evidence) -> None:
        """A set of labels is not simply right or wrong: exact matches say little where there are many labels."""
        return


class RegressionMetrics:
    """Evidence [N, 2]: prediction and target, in the target's unit."""

    primary: ClassVar[str] = "r2"
    names: ClassVar[tuple[str, ...]] = ("r2", "rmse", "mae")

    def values(self, evidence: Evidence, counts: Array) -> dict[str, Array]:
        """See `Metrics.values`."""
        predicted, actual = evidence[:, 0], evidence[:, 1]
        return {
            "r2": self.score(evidence, counts),
            "rmse": metrics.rmse(predicted, actual, counts),
            "mae": metrics.mae(predicted, actual, counts),
        }

    def score(self, evidence: Evidence, counts: Array) -> Array:
        """R^2."""
        return metrics.r2(evidence[:, 0], evidence[:, 1], counts)

    def hits(self, evidence: Evidence) -> None:
        """A number is not simply right or wrong."""
        return


def bootstrap_se(task: Metrics, evidence: Evidence, seed: int) -> float | None:
    """Standard error of the primary metric over samples drawn with replacement.

    Draws in which it is undefined do not count; `None` where that is most of them.
    """
    draws = draws_for(evidence)
    scores = [
        task.score(evidence, metrics.draws(len(evidence), number, seed + first))
        for first, number in _blocks(draws, len(evidence))
    ]
    found = np.concatenate(scores)
    found = found[np.isfinite(found)]
    return float(found.std(ddof=1)) if found.size > draws // 2 else None


def draws_for(evidence: Evidence) -> int:
    """How many draws a standard error takes: fewer for much evidence."""
    return int(np.clip(CELLS // max(1, evidence.size), FEWEST_DRAWS, DRAWS))


def _blocks(draws: int, samples: int) -> list[tuple[int, int]]:
    """The draws in blocks (number of the first one, how many) whose counts stay small in memory."""
    size = max(1, min(draws, metrics.CHUNK // max(1, samples)))
    return [(first, min(size, draws - first)) for first in range(0, draws, size)]


def _labels(evidence: Evidence) -> list[tuple[Array, NDArray[np.bool_]]]:
    return [(evidence[:, 0, k], evidence[:, 1, k] == 1.0) for k in range(evidence.shape[2])]
