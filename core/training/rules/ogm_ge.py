"""On-the-fly gradient modulation with generalisation enhancement.

Source: X. Peng, Y. Wei, A. Deng, D. Wang, D. Hu, "Balanced Multimodal Learning via On-the-fly Gradient Modulation",
CVPR 2022 (arXiv 2203.15332).

Shape letters: B = batch, F = features of one encoder, K = classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from core.models.classifier import MultimodalClassifier
from core.models.heads import Head
from core.spec import FUSED
from core.training.batches import Batch
from core.training.objective import Objective
from core.training.rules.base import Heads, own_part, sum_gradients


class OgmGe:
    """The naive fused loss, with the encoder of a modality that runs ahead slowed down.

    The fused head must be linear in the joined features z = (z_1 .. z_M); modality u's own part of its logits is
    `W_u z_u + b / M`, and its score the sum over the batch of the probability that this part alone gives to the right
    class. The discrepancy ratio is

        rho_u = score_u / mean over v != u of score_v

    and the coefficient of encoder u's gradients (Eq. 10)

        k_u = 1 - tanh(alpha * rho_u) where rho_u > 1, else 1.

    The paper has two modalities; the mean of the others is this project's reading for more. `noise` (the GE part)
    adds to each encoder parameter's gradient a Gaussian of mean 0 and of the standard deviation that the entries of
    that gradient have before modulation: to every encoder, slowed or not, as the authors' code does. That code
    modulates convolution kernels alone, and by default in the first half of its epochs alone; here it is every
    parameter of an encoder, always.

    The paper trains with SGD. **An adaptive optimizer divides a factor on the gradient out again**, all of it if the
    factor is constant: under Adam the modulation acts only as far as it changes within the moments' memory. Compare
    with SGD where this method is what you want to judge.

    Where targets are not classes, the score of a sample is exp(-loss), which for cross-entropy is that probability.
    """

    def __init__(self, objective: Objective, *, alpha: float, noise: bool) -> None:
        self._objective = objective
        self._alpha = alpha
        self._noise = noise

    def backward(self, module: Heads, batch: Batch, weights: Mapping[str, float]) -> None:
        """One forward and backward of the fused head, then the encoders' gradients are modulated in place."""
        assert isinstance(module, MultimodalClassifier)
        features = module.features(batch.inputs, module.modalities)
        output = module.classify(features, (FUSED,))[FUSED]
        own_part(self._objective, output, batch).backward()  # type: ignore[no-untyped-call]
        sum_gradients(module.parameters(), batch)
        with torch.no_grad():
            parts = own_parts(module, features)
            scores = torch.stack([self._score(part, batch.targets) for part in parts.values()])
            batch.ranks.sum_([scores])
            for name, factor in coefficients(dict(zip(parts, scores.tolist(), strict=True)), self._alpha).items():
                self._modulate(module, name, factor, batch)

    def _score(self, part: Tensor, targets: Tensor) -> Tensor:
        """Sum over the batch of the right class's probability; part [B, K], without gradient."""
        if targets.ndim == 1 and not targets.is_floating_point():
            return torch.softmax(part.double(), dim=1).gather(1, targets[:, None]).sum()
        return torch.exp(-self._objective.losses(part, targets)).sum()

    def _modulate(self, module: MultimodalClassifier, name: str, factor: float, batch: Batch) -> None:
        gradients = [each.grad for each in module.parameters_of(name) if each.grad is not None]
        spreads = [gradient.std(correction=0) for gradient in gradients]
        for gradient in gradients:
            gradient.mul_(factor)
        if self._noise:
            noise = [torch.randn_like(each) * spread for each, spread in zip(gradients, spreads, strict=True)]
            batch.ranks.take_first_(noise)  # every replica must take the same step
            for gradient, added in zip(gradients, noise, strict=True):
                gradient.add_(added)


def own_parts(module: MultimodalClassifier, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each modality's part of the fused logits, [B, K]: `W_u z_u + b / M`; features [B, F] by modality."""
    head = module.head(FUSED)
    assert isinstance(head, Head)
    linear = head.classifier
    blocks = linear.weight.split_with_sizes([z.shape[1] for z in features.values()], dim=1)
    return {
        name: z @ block.T + linear.bias / len(features)
        for (name, z), block in zip(features.items(), blocks, strict=True)
    }


def coefficients(scores: Mapping[str, float], alpha: float) -> dict[str, float]:
    """`k_u` of every modality (Eq. 10) from the scores."""
    found = {}
    for name, score in scores.items():
        others = [other for key, other in scores.items() if key != name]
        mean = sum(others) / len(others)
        # score > mean is rho > 1, and needs no division by what may be 0.
        found[name] = 1.0 - _tanh(alpha * score / mean if mean > 0.0 else float("inf")) if score > mean else 1.0
    return found


def _tanh(value: float) -> float:
    return float(torch.tanh(torch.tensor(value, dtype=torch.float64)))
