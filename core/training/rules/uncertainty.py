"""Weights that are learnt with the network: homoscedastic uncertainty.

Source: A. Kendall, Y. Gal, R. Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
Semantics", CVPR 2018 (arXiv 1705.07115). Gradient-Blending's paper has it among its baselines ("learnt weights").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from core.training.batches import Batch
from core.training.objective import Objective
from core.training.rules.base import Heads, own_part, sum_gradients


class Uncertainty(nn.Module):
    """`L = sum_k exp(-s_k) L_k + s_k / 2`, every `s_k = log sigma_k^2` a parameter that starts at 0.

    This is the paper's classification term `L_k / sigma_k^2 + log sigma_k` (its Eq. 10, second task), written in the
    logarithm of the variance, as it advises. All heads predict the same target, so one form serves all of them; for a
    squared error the paper has `L_k / (2 sigma_k^2) + log sigma_k`, which is this with `s_k` shifted by log 2, and the
    widespread `exp(-s_k) L_k + s_k` is twice this with such a shift: only the start differs. At a stationary point
    `exp(-s_k) = 1 / (2 L_k)`: a head's weight is the inverse of its *training* loss, whatever it does on other data.

    The `s_k` have the network's optimizer and learning rate but no weight decay and no part in clipping: both would
    pull the weights to where they began. They are state of the learner, and are in its checkpoints.
    """

    def __init__(self, objective: Objective, heads: Sequence[str], device: torch.device) -> None:
        super().__init__()
        self._objective = objective
        self.s = nn.ParameterDict({head: nn.Parameter(torch.zeros((), device=device)) for head in heads})

    def backward(self, module: Heads, batch: Batch, weights: Mapping[str, float]) -> None:
        """One forward of every head, one backward; `weights` says which heads count, not how much."""
        outputs = module(batch.inputs, tuple(weights))
        self.loss(outputs, batch, tuple(weights)).backward()  # type: ignore[no-untyped-call]
        sum_gradients((*module.parameters(), *self.parameters()), batch)

    def loss(self, outputs: Mapping[str, Tensor], batch: Batch, heads: Sequence[str]) -> Tensor:
        """This process's part of the whole loss, a scalar; outputs [B, K] per head."""
        terms = [
            torch.exp(-self.s[head]) * own_part(self._objective, outputs[head], batch) + batch.share * self.s[head] / 2
            for head in heads
        ]
        return torch.stack(terms).sum()

    def weights(self) -> dict[str, float]:
        """Head -> `exp(-s_k)`, scaled to sum 1: what the weights come to at this moment."""
        logits = torch.stack([-self.s[head].detach() for head in self.s]).double().cpu()
        return dict(zip(self.s, torch.softmax(logits, dim=0).tolist(), strict=True))
