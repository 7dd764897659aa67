"""What a rule is: how one batch becomes gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from torch import Tensor, nn

from core.training.batches import Batch
from core.training.objective import Objective


class Heads(Protocol):
    """What a learner trains: inputs by name -> outputs [B, K] by head."""

    def __call__(self, inputs: Mapping[str, Tensor], heads: Sequence[str]) -> dict[str, Tensor]: ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is trained."""


class Rule(Protocol):
    """Fills the gradients of a module's parameters from one batch.

    A rule that is an `nn.Module` has parameters of its own: its learner trains and stores them with the module's.
    """

    def backward(self, module: Heads, batch: Batch, weights: Mapping[str, float]) -> None:
        """Adds to every parameter's gradient (which is empty) that of the *whole* batch, whatever part of it this
        process has; `weights` are those of the heads that count."""


def own_part(objective: Objective, outputs: Tensor, batch: Batch) -> Tensor:
    """This process's part of the mean loss over the whole batch: the parts of all processes sum to it.

    A process without a row has 0, by way of the outputs, so that it has gradients wherever the others have them.
    """
    if not len(batch):
        return outputs.sum() * 0.0
    loss = objective.loss(outputs, batch.targets)
    return loss if len(batch) == batch.total else loss * batch.share


def sum_gradients(parameters: Iterable[nn.Parameter], batch: Batch) -> None:
    """Turns the gradients of this process's part of the loss into those of the loss over the whole batch."""
    batch.ranks.sum_([parameter.grad for parameter in parameters if parameter.grad is not None])
