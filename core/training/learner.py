"""A module with its optimizer, rule, weights and stream of randomness: all that a training step touches.

The live model, each copy that an estimate trains, and the fused head of the fine-tune are learners; `train_pass` is the
only loop that changes parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import CheckpointError
from core.models.moving import load_moving, moving_state
from core.spec.recipe import Adam, Optimizer
from core.training.batches import Batch
from core.training.rng import RngStream
from core.training.rules import Rule


class Learner:
    """One training: `weights` says which heads' losses count, and how much."""

    def __init__(
        self,
        module: nn.Module,
        weights: Mapping[str, float],
        *,
        rule: Rule,
        optimizer: Optimizer,
        rng: RngStream,
        max_grad_norm: float | None = None,
    ) -> None:
        self.module = module
        self.rng = rng
        self.rule = rule
        self._max_grad_norm = max_grad_norm
        self._parameters = dict(module.named_parameters())
        own = {f"rule.{name}": parameter for name, parameter in _module_of(rule).named_parameters()}
        self._optimizer = _build_optimizer(list(self._parameters.values()), list(own.values()), optimizer)
        self._parameters |= own
        self.weights = weights

    @property
    def weights(self) -> dict[str, float]:
        """Head -> weight, only those above 0: a head without weight costs no computation and moves no parameter."""
        return self._weights

    @weights.setter
    def weights(self, weights: Mapping[str, float]) -> None:
        self._weights = {name: weight for name, weight in weights.items() if weight > 0.0}
        if not self._weights:
            raise ValueError("a learner needs a head with a weight above 0")

    def step(self, batch: Batch) -> None:
        """One forward, backward and update, with this learner's own randomness."""
        with self.rng.active():
            self._optimizer.zero_grad(set_to_none=True)
            self.rule.backward(self.module, batch, self._weights)
            if self._max_grad_norm is not None:
                nn.utils.clip_grad_norm_(self.module.parameters(), self._max_grad_norm)
            self._optimizer.step()

    def adopt_optimizer_state(self, other: Learner) -> None:
        """Takes copies of another learner's moments for the parameters that both have (by name)."""
        for name, parameter in self._parameters.items():
            theirs = other._optimizer.state.get(other._parameters[name])
            if theirs:
                self._optimizer.state[parameter] = {key: value.clone() for key, value in theirs.items()}

    def tensors(self) -> dict[str, Tensor]:
        """Parameters that are not frozen, buffers, the rule's own ones, optimizer state and randomness, for a
        checkpoint."""
        found = {f"module.{name}": value for name, value in moving_state(self.module).items()}
        found |= {f"rule.{name}": value for name, value in _module_of(self.rule).state_dict().items()}
        for name, parameter in self._parameters.items():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    found[f"optimizer.{key}.{name}"] = value
        found |= {f"rng.{key}": value for key, value in self.rng.tensors().items()}
        return {name: value.detach().clone() for name, value in found.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`; `CheckpointError` where they are of another model."""
        try:
            load_moving(self.module, below(tensors, "module"))
            _module_of(self.rule).load_state_dict(below(tensors, "rule"))
        except RuntimeError as error:
            raise CheckpointError(f"the checkpoint's parameters do not fit the model: {error}") from error
        self._optimizer.state.clear()
        for name, value in below(tensors, "optimizer").items():
            key, _, parameter_name = name.partition(".")
            parameter = self._parameters[parameter_name]
            # `step` counters live where the optimizer keeps them: beside the parameter, for the fused kernels.
            self._optimizer.state[parameter][key] = value.to(parameter.device, copy=True)
        self.rng.load(below(tensors, "rng"))


def train_pass(learners: Sequence[Learner], batches: Iterable[Batch]) -> int:
    """One pass over the data: every learner takes every batch once. Returns the samples processed, summed over heads.

    The data are read and decoded once however many learners there are. Learners share nothing, so each ends exactly
    where it would have ended alone.
    """
    samples = 0
    for learner in learners:
        learner.module.train()
    for batch in batches:
        for learner in learners:
            learner.step(batch)
            samples += batch.total * len(learner.weights)
    return samples


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under `prefix.`, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def _module_of(rule: Rule) -> nn.Module:
    """The rule as a module; an empty one where it has no parameters of its own."""
    return rule if isinstance(rule, nn.Module) else nn.Module()


def _build_optimizer(parameters: list[nn.Parameter], own: list[nn.Parameter], spec: Optimizer) -> torch.optim.Optimizer:
    """For a module's parameters and for its rule's `own`, which weight decay would pull to where they began."""
    groups: list[dict[str, Any]] = [{"params": parameters}]
    if own:
        groups.append({"params": own, "weight_decay": 0.0})
    if isinstance(spec, Adam):
        return torch.optim.AdamW(groups, lr=spec.lr, weight_decay=spec.weight_decay, fused=True)
    return torch.optim.SGD(groups, lr=spec.lr, momentum=spec.momentum, weight_decay=spec.weight_decay, fused=True)
