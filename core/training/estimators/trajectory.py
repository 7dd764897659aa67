"""The live model's own heads between two super-epochs: an estimate that trains nothing and measures nothing more.

The losses of every live head on T and on V at the start of a super-epoch and at its end give the weights of the next.
Both were measured anyway, after the epochs; only the initial model is looked at for this purpose. The first super-epoch
has nothing behind it and takes equal weights (policy `warm_up`).

What is measured is not quite what Algorithm 1 asks for: a head moved as far as its own weight let it, and its encoder
moved with the other heads, too. A head of weight 0 is not trained at all: its G stays near 0 (or follows its encoder),
so that it may never come back. Its record carries the flag `not_trained`; a floor (`blending.floor`) is the way out.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from core.events.types import Split
from core.training.estimators.base import Found, Ground, LiveLosses, Losses, Spent, Tick, paired

NOT_TRAINED = "not_trained"
"""The head had no weight in the super-epoch that was looked at."""


class TrajectoryEstimate:
    """Two measurements of the live model, paired."""

    epochs = 0

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._before: dict[Split, Losses] | None = None
        self._after: dict[Split, Losses] | None = None

    def begin(self, known: LiveLosses) -> Spent:
        """Takes what is known of the live heads."""
        self._before, self._after = known.earlier, known.now
        return Spent()

    def epoch(self, index: int, tick: Tick, done: int = 0) -> Spent:
        """There are none."""
        raise IndexError(f"the trajectory estimator has no epoch {index}")

    def finish(self, tick: Tick, done: int = 0) -> tuple[Found, Spent]:
        """The pair, for nothing."""
        ground = self._ground
        assert self._before is not None, "the losses at the start of the last super-epoch are part of every checkpoint"
        assert self._after is not None, "the losses at the end of the last super-epoch are part of every checkpoint"
        flags: dict[str, tuple[str, ...]] = {
            head: (NOT_TRAINED,) for head in ground.heads if head not in ground.live.weights
        }
        losses = paired(ground.heads, self._before, self._after)
        return Found(losses=losses, train=ground.train, holdout=ground.holdout, flags=flags), Spent()

    def tensors(self) -> dict[str, Tensor]:
        """Nothing: `LiveLosses` are written by the session."""
        return {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`."""
