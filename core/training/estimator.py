"""GB_Estimate (paper, Algorithm 1): how would each head fare if it trained alone for the coming epochs?

For each of the M+1 heads the matching parameters are copied out of the live model and trained alone, the fused head as
a naive joint network. All copies take every batch in turn, so the data are read once; since they share no parameter and
own their optimizer, clipping and randomness, each ends bit for bit where training it alone would have ended (CPU).
Nothing of the live model is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from core.blend import HeadLosses
from core.models.classifier import MultimodalClassifier
from core.models.seeding import derive
from core.spec.recipe import ExactEstimator, TrainingSpec
from core.training.batches import Batch
from core.training.learner import Learner, below, train_pass
from core.training.measure import measure
from core.training.rng import RngStream


class Estimate:
    """One super-epoch's estimate in progress: `measure_before`, then `train_epoch` n times, then `losses`."""

    def __init__(
        self,
        live: Learner,
        heads: Sequence[str],
        *,
        estimator: ExactEstimator,
        training: TrainingSpec,
        seed: int,
        device: torch.device,
    ) -> None:
        model = live.module
        assert isinstance(model, MultimodalClassifier)
        self._learners = {
            head: Learner(
                model.copy_of([head]),
                {head: 1.0},
                optimizer=training.optimizer,
                rng=RngStream(derive(seed, "rng", head), device),
                max_grad_norm=training.max_grad_norm,
            )
            for head in heads
        }
        if estimator.optimizer_state == "live":
            for learner in self._learners.values():
                learner.adopt_optimizer_state(live)
        self._copies = _Together({head: learner.module for head, learner in self._learners.items()})
        self._before: dict[str, dict[str, Tensor]] = {}

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that are estimated."""
        return tuple(self._learners)

    def measure_before(self, train: Iterable[Batch], holdout: Iterable[Batch]) -> None:
        """Losses at the start, on T' and on V."""
        self._before = {part: self._measure(batches) for part, batches in (("train", train), ("holdout", holdout))}

    def train_epoch(self, batches: Iterable[Batch]) -> int:
        """One pass over the data for all copies; returns samples processed, summed over heads."""
        return train_pass(list(self._learners.values()), batches)

    def losses(self, train: Iterable[Batch], holdout: Iterable[Batch]) -> dict[str, HeadLosses]:
        """Losses of every head before and after, on the same rows, measured by the same code."""
        train_after, holdout_after = self._measure(train), self._measure(holdout)
        return {
            head: HeadLosses(
                train_before=self._before["train"][head].numpy(),
                train_after=train_after[head].numpy(),
                holdout_before=self._before["holdout"][head].numpy(),
                holdout_after=holdout_after[head].numpy(),
            )
            for head in self.heads
        }

    def _measure(self, batches: Iterable[Batch]) -> dict[str, Tensor]:
        scores = measure(self._copies, batches, self.heads)
        return {head: torch.from_numpy(np.asarray(scores[head].losses)) for head in self.heads}

    def tensors(self) -> dict[str, Tensor]:
        """The whole state of the estimate, for a checkpoint."""
        found: dict[str, Tensor] = {}
        for head, learner in self._learners.items():
            found |= {f"learner.{head}.{name}": value for name, value in learner.tensors().items()}
        for part, losses in self._before.items():
            found |= {f"before.{part}.{head}": value for head, value in losses.items()}
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        for head, learner in self._learners.items():
            learner.load(below(tensors, f"learner.{head}"))
        self._before = {part: below(tensors, f"before.{part}") for part in ("train", "holdout")}


class _Together(nn.Module):
    """The copies behind one forward, so that measuring reads the data once, too."""

    def __init__(self, copies: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._copies = dict(copies)
        self._list = nn.ModuleList(copies.values())

    def forward(self, inputs: Mapping[str, Tensor], heads: Sequence[str]) -> dict[str, Tensor]:
        return {head: self._copies[head](inputs, [head])[head] for head in heads}
