"""Which epoch's parameters stay: the last one's, unless an earlier one was better by more than the noise.

Joint training often overfits before its epochs are over, and the pool of heads cannot bring back what was lost. But a
maximum over epochs flatters itself, and on a small V most of it is luck. So the last epoch stays where it is within one
standard error, of the paired difference, of the best one (after the one-standard-error rule of L. Breiman et al.,
"Classification and Regression Trees", 1984). Parameters go back, to the best epoch's, only where going on did harm that
can be seen.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.blend.errors import mean_and_error, stands_out
from core.events import Restored
from core.models.classifier import MultimodalClassifier
from core.models.moving import load_moving, moving_state
from core.training.learner import Learner, below
from core.training.measure import Scores

ONE_SIGMA = 0.6827
"""One standard error, as a probability: with few rows or groups Student's t asks for more of them."""

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


class BestEpoch:
    """Remembers, for the heads of one learner, the epoch that did best on the rows that the answer is chosen on.

    What is compared is the mean over the learner's heads of each row's merit: right or wrong, or minus its loss where
    the task knows neither.
    """

    def __init__(self, learner: Learner, groups: Codes | None) -> None:
        assert isinstance(learner.module, MultimodalClassifier)
        self._learner = learner
        self._known = learner.module.heads
        self._groups = groups
        self._heads: tuple[str, ...] = ()
        self._merit: Floats = np.empty(0)
        self._epoch = 0
        self._best: dict[str, Tensor] = {}

    def look(self, scores: Mapping[str, Scores], *, epoch: int, last: bool) -> Restored | None:
        """Looks at `epoch` (1-based) by its scores; after the `last` one, goes back to a better one if need be."""
        heads = tuple(head for head in self._known if head in scores)
        if heads != self._heads:  # a head had its first weight: means over other heads cannot be compared
            self._heads, self._epoch = heads, 0
        merit = np.mean([scores[head].merits for head in heads], axis=0)
        if not last:
            if self._epoch == 0 or merit.mean() >= self._merit.mean():
                self._merit, self._epoch = merit, epoch
                state = moving_state(self._learner.module)
                self._best = {name: value.detach().clone() for name, value in state.items()}
            return None
        if self._epoch == 0:
            return None
        if not stands_out(self._merit - merit, self._groups, ONE_SIGMA):
            return None
        gain, error = mean_and_error(self._merit - merit, self._groups)
        load_moving(self._learner.module, self._best)
        return Restored(heads=heads, epoch=self._epoch, gain=gain, gain_se=error)

    def tensors(self) -> dict[str, Tensor]:
        """What it knows, for a checkpoint."""
        found = {f"best.{name}": value for name, value in self._best.items()}
        return found | {
            "heads": torch.tensor([head in self._heads for head in self._known]),
            "merit": torch.from_numpy(self._merit.copy()),
            "epoch": torch.tensor(self._epoch),
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        self._best = below(tensors, "best")
        self._heads = tuple(head for head, had in zip(self._known, tensors["heads"].tolist(), strict=True) if had)
        self._merit = tensors["merit"].numpy()
        self._epoch = int(tensors["epoch"])
