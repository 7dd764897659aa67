"""Uni-modal and joint gradients combined so that neither disturbs the other.

Source: Y. Wei, D. Hu, "MMPareto: Boosting Multimodal Learning with Innocent Unimodal Assistance", ICML 2024 (arXiv
2405.17730), Algorithm 1, and the authors' code where the paper leaves a number open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from core.models.classifier import MultimodalClassifier
from core.spec import FUSED
from core.training.batches import Batch
from core.training.objective import Objective
from core.training.rules.base import Heads, own_part

_STATIONARY = 1e-6
"""Relative length below which the least-norm combination is rounding noise: no direction that helps both is left."""


class MMPareto:
    """The fused loss and every uni-modal loss, each with the factor 1; on the encoders' parameters Pareto-combined.

    For one encoder let g_m be the gradient of the fused loss and g_u that of its uni-modal loss. Its update is

        h = 2 a g_m + 2 (1 - a) g_u

    with a = 1/2 where the two do not conflict, <g_m, g_u> >= 0, and otherwise with the a that minimises the norm of
    `a g_m + (1 - a) g_u`, for two gradients `a = (|g_u|^2 - <g_m, g_u>) / |g_m - g_u|^2`. That shortens h, so h is
    brought back to the length |g_m + g_u| of the plain sum. Either way it is multiplied by `gamma`, which enhances the
    noise of the steps; 1.5 is what the authors' code has. Norms and products are taken over the whole encoder (that
    code rescales each of its tensors by itself). Each head gets the gradient of its own loss.

    An adaptive optimizer divides the length out again, in great part; the direction stays. The paper uses SGD.
    """

    def __init__(self, objective: Objective, *, gamma: float) -> None:
        self._objective = objective
        self._gamma = gamma

    def backward(self, module: Heads, batch: Batch, weights: Mapping[str, float]) -> None:
        """One forward of all heads, one backward of the fused loss, one of the sum of the uni-modal losses."""
        assert isinstance(module, MultimodalClassifier)
        outputs = module(batch.inputs, module.heads)
        losses = {head: own_part(self._objective, outputs[head], batch) for head in module.heads}
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        joint = _gradients(losses[FUSED], parameters, retain_graph=True)
        # Encoders share nothing: on each of them this sum has the gradient of its own uni-modal loss.
        alone = _gradients(torch.stack([losses[name] for name in module.modalities]).sum(), parameters)
        # Whether the two conflict is decided by the gradients over the whole batch.
        batch.ranks.sum_([*joint.values(), *alone.values()])
        for parameter in parameters:
            parameter.grad = joint[parameter] + alone[parameter]
        for name in module.modalities:
            own = [parameter for parameter in module.parameters_of(name) if parameter.requires_grad]
            combined = combine([joint[p] for p in own], [alone[p] for p in own], self._gamma)
            for parameter, gradient in zip(own, combined, strict=True):
                parameter.grad = gradient


def combine(joint: Sequence[Tensor], alone: Sequence[Tensor], gamma: float) -> list[Tensor]:
    """The update of one encoder from its gradients of the fused and of the uni-modal loss, tensor by tensor."""
    mm, uu, mu = _dot(joint, joint), _dot(alone, alone), _dot(joint, alone)
    share = pareto_share(mm, uu, mu)
    whole = math.sqrt(max(mm + uu + 2 * mu, 0.0))
    squared = share**2 * mm + (1.0 - share) ** 2 * uu + 2.0 * share * (1.0 - share) * mu
    length = 2.0 * math.sqrt(max(squared, 0.0))
    stationary = length <= _STATIONARY * (math.sqrt(mm) + math.sqrt(uu))
    factor = gamma * (1.0 if stationary else max(1.0, whole / length))
    return [
        (2.0 * share * factor) * g_m + (2.0 * (1.0 - share) * factor) * g_u
        for g_m, g_u in zip(joint, alone, strict=True)
    ]


def pareto_share(mm: float, uu: float, mu: float) -> float:
    """The share `a` of the fused loss's gradient, from |g_m|^2, |g_u|^2 and <g_m, g_u>."""
    return 0.5 if mu >= 0.0 else (uu - mu) / (mm + uu - 2.0 * mu)


def _gradients(
    loss: Tensor, parameters: Sequence[nn.Parameter], *, retain_graph: bool = False
) -> dict[nn.Parameter, Tensor]:
    """Gradient by parameter; zeros for one that the loss does not depend on."""
    found = torch.autograd.grad(loss, parameters, retain_graph=retain_graph, materialize_grads=True)
    return dict(zip(parameters, found, strict=True))


def _dot(left: Sequence[Tensor], right: Sequence[Tensor]) -> float:
    return float(sum(torch.sum(a.double() * b.double()) for a, b in zip(left, right, strict=True)))
