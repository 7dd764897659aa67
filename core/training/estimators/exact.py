"""GB_Estimate (paper, Algorithm 1): how would each head fare if it trained alone for the coming epochs?

For each of the M+1 heads the matching parameters are copied out of the live model and trained alone, the fused head as
a naive joint network. All copies take every batch in turn, so the data are read once; since they share no parameter and
own their optimizer, clipping and randomness, each ends bit for bit where training it alone would have ended (CPU).
Nothing of the live model is touched.

Before its first step a copy *is* the live model's head. So the losses before are those of the live model, which have
often been measured a moment ago, at the end of the last epoch; where not, one pass of the live model gives all heads'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from core.events.types import Split
from core.models.seeding import derive
from core.spec.recipe import ExactEstimator
from core.training.batches import with_tick
from core.training.estimators.base import PARTS, Found, Ground, LiveLosses, Losses, Spent, Tick, draw, paired
from core.training.learner import below, train_pass


class ExactEstimate:
    """Copies that are trained for as many epochs as the super-epoch has, on T or on a part T' of it.

    T' (`subset`) is drawn anew for every super-epoch, stratified by class, from a seed of its own; the copies are
    trained on it and L_T is measured on it. All heads see the same T' in the same order.
    """

    def __init__(self, ground: Ground, spec: ExactEstimator) -> None:
        self._ground = ground
        count = subset_size(spec, len(ground.train))
        self._train = draw(ground.train, ground.targets, count, derive(ground.seed, "subset"))
        self._learners = ground.copies(moments=spec.optimizer_state == "live")
        self._copies = _Together({head: learner.module for head, learner in self._learners.items()})
        self._before: dict[Split, Losses] = {}

    @property
    def epochs(self) -> int:
        """As many as the super-epoch has."""
        return self._ground.epochs

    def begin(self, known: LiveLosses) -> Spent:
        """Takes the losses before from the end of the last epoch, or measures them."""
        if known.now is None:
            self._before, spent = self._ground.measure_parts(train=self._train)
            return spent
        at = torch.from_numpy(np.searchsorted(self._ground.train, self._train))
        self._before = {
            "train": {head: losses[at] for head, losses in known.now["train"].items()},
            "holdout": known.now["holdout"],
        }
        known.now = None  # they are part of the estimate's own state from here on, and written once
        return Spent()

    def epoch(self, index: int, tick: Tick, done: int = 0) -> Spent:
        """One pass over T' for all copies."""
        heads = len(self._learners)
        batches = self._ground.batches.shuffled(self._train, self._ground.order(index), done)
        train_pass(list(self._learners.values()), with_tick(batches, lambda samples: tick(samples * heads)))
        return Spent(samples=len(self._train) * heads)

    def finish(self, tick: Tick, done: int = 0) -> tuple[Found, Spent]:
        """Measures the copies on the rows that were measured before."""
        after, spent = self._ground.measure_parts(self._copies, train=self._train)
        losses = paired(self._ground.heads, self._before, after)
        return Found(losses=losses, train=self._train, holdout=self._ground.holdout), spent

    def tensors(self) -> dict[str, Tensor]:
        """Every copy's parameters, optimizer and randomness, and the losses before."""
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
        self._before = {part: below(tensors, f"before.{part}") for part in PARTS}


def subset_size(spec: ExactEstimator, rows: int) -> int:
    """Rows of T' where T has `rows`."""
    return max(1, round(spec.subset * rows))


class _Together(nn.Module):
    """The copies behind one forward, so that measuring reads the data once, too."""

    def __init__(self, copies: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._copies = dict(copies)
        self._list = nn.ModuleList(copies.values())

    def forward(self, inputs: Mapping[str, Tensor], heads: Sequence[str]) -> dict[str, Tensor]:
        return {head: self._copies[head](inputs, [head])[head] for head in heads}
