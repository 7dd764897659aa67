"""The blended loss of Gradient-Blending, and with it every strategy whose weights are given numbers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from core.training.batches import Batch
from core.training.objective import Objective
from core.training.rules.base import Heads, own_part, sum_gradients


class Blend:
    """`L = sum_i w_i L_i` (Eq. 7) over the heads' mean losses."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective

    def backward(self, module: Heads, batch: Batch, weights: Mapping[str, float]) -> None:
        """One forward of the heads that have a weight, one backward of their blended loss."""
        outputs = module(batch.inputs, tuple(weights))
        self.loss(outputs, batch, weights).backward()  # type: ignore[no-untyped-call]
        sum_gradients(module.parameters(), batch)

    def loss(self, outputs: Mapping[str, Tensor], batch: Batch, weights: Mapping[str, float]) -> Tensor:
        """This process's part of the blended loss, a scalar; outputs [B, K] per head."""
        terms = [weight * own_part(self._objective, outputs[name], batch) for name, weight in weights.items()]
        return torch.stack(terms).sum() if len(terms) > 1 else terms[0]
