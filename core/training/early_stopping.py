"""Early stopping: end where the loss has not fallen for a while, and go back to the best epoch's parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from core.events import EarlyStop, Measurement
from core.events.types import Split
from core.models.moving import load_moving, moving_state
from core.spec.base import AVERAGE
from core.training.learner import Learner, below


class EarlyStopping:
    """Watches one learner: the weighted loss of its heads on one part, after every epoch.

    Where the weights change while training goes on (`even`), losses under different weights cannot be compared: then it
    is the plain mean over the heads that have been trained. When one more head gets its first weight, that mean is over
    other heads than before, and what was best of it until then is forgotten.

    A lower loss than ever before is an improvement, however small. The parameters that the learner has at the end are
    those of the best epoch, whether patience ran out or the epochs did.
    """

    def __init__(self, learner: Learner, *, patience: int, part: Split, even: bool = False) -> None:
        self._learner = learner
        self._even = even
        self._patience = patience
        self._part = part
        self._loss = math.inf
        self._epoch = 0
        self._heads = 0
        self._best: dict[str, Tensor] = {}
        self.over = False
        """Whether the learner is done, and its best parameters are in place."""

    def look(self, measurements: Sequence[Measurement], *, epoch: int, last: bool) -> EarlyStop:
        """Judges epoch `epoch` (1-based, the `last` one or not) by its measurements."""
        losses = {found.head: found.loss for found in measurements if found.split == self._part}
        weights = self._learner.weights
        if self._even:
            weights = dict.fromkeys([head for head in losses if head != AVERAGE], 1.0)
        if len(weights) != self._heads:  # heads only ever join
            self._heads, self._loss = len(weights), math.inf
        loss = weighted(losses, weights)
        if loss < self._loss:
            self._loss, self._epoch = loss, epoch
            self._best = {name: value.detach().clone() for name, value in moving_state(self._learner.module).items()}
        self.over = last or epoch - self._epoch >= self._patience
        if self.over and self._best:
            load_moving(self._learner.module, self._best)
        return EarlyStop(
            heads=tuple(weights),
            split=self._part,
            loss=loss,
            best_loss=self._loss,
            best_epoch=self._epoch,
            over=self.over,
        )

    def tensors(self) -> dict[str, Tensor]:
        """What it knows, for a checkpoint."""
        found = {f"best.{name}": value for name, value in self._best.items()}
        found["loss"] = torch.tensor(self._loss, dtype=torch.float64)
        found["epoch"] = torch.tensor(self._epoch)
        found["heads"] = torch.tensor(self._heads)
        found["over"] = torch.tensor(self.over)
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        self._best = below(tensors, "best")
        self._loss = float(tensors["loss"])
        self._epoch = int(tensors["epoch"])
        self._heads = int(tensors["heads"])
        self.over = bool(tensors["over"])


def weighted(losses: Mapping[str, float | None], weights: Mapping[str, float]) -> float:
    """The mean of the heads' losses with these weights, of any positive sum; every head has a finite loss."""
    total = 0.0
    for head, weight in weights.items():
        loss = losses[head]
        assert loss is not None, "a loss that is not finite has ended the run before"
        total += weight * loss
    return total / sum(weights.values())
