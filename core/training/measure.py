"""Losses and hits of every head on fixed rows: eval mode, no gradient, no augmentation, 64-bit accumulation.

One function measures everything: before and after an estimate, every epoch, validation, test. It draws no random
number, and it leaves each module in the mode in which it found it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from core.events import Measurement
from core.events.types import Split
from core.training.batches import Batch

AVERAGE = "heads_average"
"""The name of the answer that averages the heads' probabilities with the blend's weights."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One head on N rows: cross-entropy in nats [N] and whether the most likely class was right [N]."""

    losses: NDArray[np.float64]
    hits: NDArray[np.bool_]

    def measurement(self, head: str, split: Split, flags: tuple[str, ...] = ()) -> Measurement:
        """Means with their standard errors, as an event part."""
        loss, loss_se = _mean_se(self.losses)
        accuracy, accuracy_se = _mean_se(self.hits.astype(np.float64))
        finite = bool(np.isfinite(loss))
        return Measurement(
            head=head,
            split=split,
            loss=loss if finite else None,
            loss_se=loss_se if finite else None,
            accuracy=accuracy,
            accuracy_se=accuracy_se,
            samples=len(self.losses),
            flags=flags if finite else (*flags, "not_finite"),
        )


def measure(
    module: nn.Module,
    batches: Iterable[Batch],
    heads: Sequence[str],
    *,
    average: Mapping[str, float] | None = None,
) -> dict[str, Scores]:
    """Scores of `heads`, and of `heads_average` where `average` gives its weights (head -> weight, sum 1)."""
    losses: dict[str, list[Tensor]] = {}
    hits: dict[str, list[Tensor]] = {}
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            for batch in batches:
                for name, log_probabilities in _log_probabilities(module, batch, heads, average).items():
                    chosen = log_probabilities.gather(1, batch.targets[:, None])[:, 0]
                    losses.setdefault(name, []).append(-chosen)
                    hits.setdefault(name, []).append(log_probabilities.argmax(dim=1) == batch.targets)
    finally:
        for part, training in modes.items():
            part.training = training
    return {name: Scores(torch.cat(losses[name]).cpu().numpy(), torch.cat(hits[name]).cpu().numpy()) for name in losses}


def _log_probabilities(
    module: nn.Module, batch: Batch, heads: Sequence[str], average: Mapping[str, float] | None
) -> dict[str, Tensor]:
    """Head -> log-probabilities [B, K], 64-bit."""
    logits = module(batch.inputs, heads)
    found = {name: functional.log_softmax(logits[name].double(), dim=1) for name in heads}
    if average:
        parts = [found[name] + float(np.log(weight)) for name, weight in average.items() if weight > 0.0]
        found[AVERAGE] = torch.logsumexp(torch.stack(parts), dim=0)
    return found


def _mean_se(values: NDArray[np.float64]) -> tuple[float, float]:
    if values.size < 2:
        return float(values.mean()), 0.0
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))
