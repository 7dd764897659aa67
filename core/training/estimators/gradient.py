"""Eq. 4, evaluated: along the direction in which a head would move, how fast do L_T and L_V fall?

For each head a copy takes a few optimizer steps on batches of T, with the live model's moments where there are any.
`g = theta_before - theta_after` is the direction. Then, at theta_before and in eval mode, the per-sample directional
derivatives `d_i = <grad l_i, g>` are taken on rows of T and of V:

    G_k = <grad L*, g> ~ mean_V d_i        O_k = <grad L_T - grad L*, g> ~ mean_T d_i - mean_V d_i

They are handed on as the losses of a linear model: before `l_i`, after `l_i - d_i`. So their paired differences are the
`d_i`, and errors, bootstrap and policies are those of every other estimator.

The rows of T for the inner product are drawn by a seed of their own, whatever batches made the step. Given g their mean
is therefore unbiased for `<grad L_T, g>`, and grad L_T is, as in Eq. 4, the gradient over the rows that are trained on.

The scale is that of a few steps, not of n epochs. A factor common to all heads' G and O leaves the normalised weights
of every policy alone (`w ~ G / O^2` turns into `w ~ G / (c O^2)`); only that a step is small is an approximation. Under
Adam the live moments are those of the blended loss, so that a head's step depends on its weight in force, too: that
part of the scale is not common to all heads, and does not cancel.

Forward-mode differentiation gives all `d_i` of a batch in one pass: no backward, and no gradient per sample.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count, islice

from torch import Tensor, nn
from torch.func import functional_call, jvp

from core.events.types import Split
from core.models.seeding import derive
from core.spec.recipe import GradientEstimator
from core.training.batches import Batch, InOrder, Rows
from core.training.estimators.base import (
    PARTS,
    Found,
    Ground,
    LiveLosses,
    Losses,
    Spent,
    Tick,
    draw,
    paired,
    samples_of,
)
from core.training.learner import Learner, below
from core.training.measure import measuring
from core.training.objective import Objective


class GradientEstimate:
    """No epochs of its own: all is done in `finish`, step by step and then head by head."""

    epochs = 0

    def __init__(self, ground: Ground, spec: GradientEstimator) -> None:
        self._ground = ground
        self._steps = spec.steps
        parts: tuple[tuple[Split, Rows], ...] = (("train", ground.train), ("holdout", ground.holdout))
        self._rows = {
            part: draw(rows, ground.targets, spec.rows, derive(ground.seed, "rows", part)) for part, rows in parts
        }
        self._learners: dict[str, Learner] = {}
        """The copies, while they take their steps."""
        self._directions: dict[str, dict[str, Tensor]] = {}
        """Head -> parameter -> g, of the heads whose derivatives are still to be taken."""
        self._before: dict[Split, Losses] = {part: {} for part in PARTS}
        """Of the heads whose derivatives are known, as `_after`."""
        self._after: dict[Split, Losses] = {part: {} for part in PARTS}

    def begin(self, known: LiveLosses) -> Spent:
        """Nothing: the derivative's pass gives the losses as well."""
        return Spent()

    def epoch(self, index: int, tick: Tick, done: int = 0) -> Spent:
        """There are none."""
        raise IndexError(f"the gradient estimator has no epoch {index}")

    def finish(self, tick: Tick, done: int = 0) -> tuple[Found, Spent]:
        """Steps all copies on the same batches, then differentiates along each one's step."""
        ground = self._ground
        if done <= self._steps:
            self._take_steps(tick, done)
        while self._directions:
            self._differentiate(next(iter(self._directions)))
            tick(0)
        losses = paired(ground.heads, self._before, self._after)
        found = Found(losses=losses, train=self._rows["train"], holdout=self._rows["holdout"])
        return found, Spent(
            samples=len(ground.heads) * samples_of(len(ground.train), ground.training.batch_size, self._steps),
            measured=len(ground.heads) * sum(len(rows) for rows in self._rows.values()),
        )

    def _take_steps(self, tick: Tick, done: int) -> None:
        """From where the copies are to the end of their steps, which gives their directions."""
        ground = self._ground
        learners = self._learners = self._learners or ground.copies(moments=True)
        for learner in learners.values():
            learner.module.train()
        # Shuffled passes without end; one epoch's worth is rarely used up.
        batches = ground.batches.passes(ground.train, map(ground.order, count()), done)
        for batch in islice(batches, self._steps - done):
            for learner in learners.values():
                learner.step(batch)
            tick(batch.total * len(learners))
        self._directions = {head: self._direction(head, learner.module) for head, learner in learners.items()}
        self._learners = {}

    def _direction(self, head: str, moved: nn.Module) -> dict[str, Tensor]:
        start = dict(self._ground.model.copy_of([head]).named_parameters())
        moved_ones = [(name, end) for name, end in moved.named_parameters() if end.requires_grad]
        return {name: start[name].detach() - end.detach() for name, end in moved_ones}

    def _differentiate(self, head: str) -> None:
        """Losses of a head as it was before its steps, and what they would be along its direction."""
        ground = self._ground
        module = ground.model.copy_of([head])
        for part, rows in self._rows.items():
            batches = ground.batches.in_order(rows)
            losses, slopes = directional(module, head, self._directions[head], batches, ground.objective)
            self._before[part][head], self._after[part][head] = losses, losses - slopes
        del self._directions[head]

    def tensors(self) -> dict[str, Tensor]:
        """The copies on their way; then the directions that are left, and the losses that are known."""
        found: dict[str, Tensor] = {}
        for head, learner in self._learners.items():
            found |= {f"learner.{head}.{name}": value for name, value in learner.tensors().items()}
        for head, direction in self._directions.items():
            found |= {f"direction.{head}.{name}": value for name, value in direction.items()}
        for when, known in (("before", self._before), ("after", self._after)):
            for part, losses in known.items():
                found |= {f"{when}.{part}.{head}": value for head, value in losses.items()}
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        ground = self._ground
        self._learners = ground.copies(moments=True) if below(tensors, "learner") else {}
        for head, learner in self._learners.items():
            learner.load(below(tensors, f"learner.{head}"))
        directions = {head: below(tensors, f"direction.{head}") for head in ground.heads}
        self._directions = {
            head: {name: value.to(ground.device) for name, value in direction.items()}
            for head, direction in directions.items()
            if direction
        }
        self._before = {part: below(tensors, f"before.{part}") for part in PARTS}
        self._after = {part: below(tensors, f"after.{part}") for part in PARTS}


def directional(
    module: nn.Module, head: str, direction: Mapping[str, Tensor], batches: InOrder, objective: Objective
) -> tuple[Tensor, Tensor]:
    """Per-sample losses [N] of a head and their derivatives `<grad l_i, direction>` [N], 64-bit, in eval mode.

    `direction` has a tensor for every parameter of `module` that the head reads, frozen ones left out. The module is
    left as it was.
    """
    parameters = {name: value.detach() for name, value in module.named_parameters() if name in direction}
    tangents = {name: direction[name] for name in parameters}
    losses, slopes = [], []
    with measuring(module):
        for batch in batches:

            def of(values: dict[str, Tensor], batch: Batch = batch) -> Tensor:
                outputs: dict[str, Tensor] = functional_call(module, values, (batch.inputs, [head]))
                return objective.losses(outputs[head], batch.targets)

            with _torch_quiet_about_itself():
                found = jvp(of, (parameters,), (tangents,))
            losses.append(found[0].detach().double().cpu())
            slopes.append(found[1].detach().double().cpu())
    return batches.together(losses), batches.together(slopes)


@contextmanager
def _torch_quiet_about_itself() -> Iterator[None]:
    """The first dual number makes torch load its own decompositions, and warn of the deprecated way in which it does.

    Nothing of ours is scripted; `directional` needs none of them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is (deprecated|not supported)", DeprecationWarning)
        yield
