"""Losses and metrics of every head on fixed rows: eval mode, no gradient, no augmentation, 64-bit accumulation.

One function measures everything: before and after an estimate, every epoch, validation, test. It draws no random
number, and it leaves each module in the mode in which it found it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.events import Measurement
from core.events.types import Split
from core.spec.base import AVERAGE
from core.training.batches import InOrder
from core.training.metrics import once
from core.training.objective import Objective
from core.training.scoring import Evidence, Metrics, bootstrap_se


@dataclass(frozen=True, slots=True)
class Scores:
    """One head on N rows: losses [N], evidence [N, ...] and what the metrics make of it."""

    losses: NDArray[np.float64]
    evidence: Evidence
    metrics: Metrics

    @classmethod
    def of(cls, objective: Objective, outputs: Tensor, targets: Tensor) -> Scores:
        """Of outputs [N, K] for targets of the same rows."""
        losses, evidence = objective.losses(outputs, targets), objective.evidence(outputs, targets)
        return cls(losses.cpu().numpy(), evidence.cpu().numpy(), objective.metrics)

    @property
    def merits(self) -> NDArray[np.float64]:
        """Per sample [N], higher is better: right (1) or wrong (0), or minus the loss where a sample is neither."""
        hits = self.metrics.hits(self.evidence)
        return -self.losses if hits is None else hits.astype(np.float64)

    def measurement(
        self, head: str, split: Split, flags: tuple[str, ...] = (), *, bootstrap: int | None = None
    ) -> Measurement:
        """Means and metrics with their standard errors, as an event part.

        `bootstrap` is the seed for the error of a score that has no formula; without it such a score carries none.
        """
        loss, loss_se = _mean_se(self.losses)
        finite = bool(np.isfinite(loss))
        found = {name: value if np.isfinite(value) else None for name, value in self._values().items()}
        accuracy, accuracy_se = self._accuracy()
        score = accuracy if self.metrics.primary == "accuracy" else found.get(self.metrics.primary)
        score_se = accuracy_se if self.metrics.primary == "accuracy" else None
        if score is not None and score_se is None and bootstrap is not None:
            score_se = bootstrap_se(self.metrics, self.evidence, bootstrap)
        if not finite:
            flags = (*flags, "not_finite")
        elif None in found.values():
            flags = (*flags, "metric_undefined")
        return Measurement(
            head=head,
            split=split,
            loss=loss if finite else None,
            loss_se=loss_se if finite else None,
            accuracy=accuracy,
            accuracy_se=accuracy_se,
            score=score,
            score_se=score_se,
            metrics=found,
            samples=len(self.losses),
            flags=flags,
        )

    def _values(self) -> dict[str, float]:
        if not np.isfinite(self.evidence).all():  # outputs that are no numbers cannot be ranked
            return dict.fromkeys(self.metrics.names, float("nan"))
        values = self.metrics.values(self.evidence, once(len(self.losses)))
        return {name: float(value[0]) for name, value in values.items()}

    def _accuracy(self) -> tuple[float | None, float | None]:
        hits = self.metrics.hits(self.evidence)
        return (None, None) if hits is None else _mean_se(hits.astype(np.float64))


def measure(
    module: nn.Module,
    batches: InOrder,
    heads: Sequence[str],
    *,
    objective: Objective,
    average: Mapping[str, float] | None = None,
) -> dict[str, Scores]:
    """Scores of `heads`, and of `heads_average` where `average` gives its weights (head -> weight, sum 1)."""
    losses: dict[str, list[Tensor]] = {}
    evidence: dict[str, list[Tensor]] = {}
    with measuring(module):
        for batch in batches:
            outputs = module(batch.inputs, heads)
            if average:
                outputs[AVERAGE] = objective.average(outputs, average)
            for name, output in outputs.items():
                losses.setdefault(name, []).append(objective.losses(output, batch.targets))
                evidence.setdefault(name, []).append(objective.evidence(output, batch.targets))
    return {
        name: Scores(
            batches.together(losses[name]).cpu().numpy(),
            batches.together(evidence[name]).cpu().numpy(),
            objective.metrics,
        )
        for name in losses
    }


@contextmanager
def measuring(module: nn.Module) -> Iterator[None]:
    """Eval mode and no gradient inside; afterwards every part of the module is in the mode it was in."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training


def _mean_se(values: NDArray[np.float64]) -> tuple[float, float]:
    if values.size < 2:
        return float(values.mean()), 0.0
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))
