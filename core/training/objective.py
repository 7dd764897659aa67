"""What is minimised, and what is reported: one class per type of target.

Gradient-Blending asks one thing of a loss: that L_T and L_V be means, over samples, of the same per-sample function.
So an objective is that function. Training minimises its mean over a batch, and measuring takes its mean over a part.

Class weights and label smoothing belong to the function. The loss of sample i is `w[y_i] * CE_i`, with weights fitted
on T alone and of mean 1 over T's samples, and means are plain means over samples. (torch's weighted mean divides by the
batch's sum of weights: a batch of one class would weigh as if there were no weights, and the mean over batches would
not be the mean over samples.) So G and O, and their standard errors, hold for weighted losses as they stand.

Shape letters: B = batch, K = outputs of a head (classes, labels, or 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from core.data.dataset import PreparedData, TargetScale
from core.spec.recipe import LossSpec
from core.training.scoring import BinaryMetrics, Metrics, MulticlassMetrics, MultilabelMetrics, RegressionMetrics

_LEAST_VARIANCE = 1e-12
"""Of a regression's noise: a head that is right to the last digit divides nothing by 0."""


class Objective(Protocol):
    """The loss and the metrics of a type of target."""

    metrics: Metrics
    """What is computed from the evidence."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch of the per-sample loss: a scalar to differentiate."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The per-sample loss [B] in 64-bit, for measuring. Its mean is what `loss` gives."""

    def evidence(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Per sample, what the metrics are computed from [B, ...]."""

    def average(self, outputs: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        """The outputs [B, K], 64-bit, of the heads' weighted average; `weights` sum to 1 over heads in `outputs`."""

    def pool(self, outputs: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
        """The outputs [B, K], 64-bit, of the heads' logarithmic pool with any weights; differentiable in these."""

    def nats(self, outputs: Mapping[str, Tensor], targets: Tensor) -> float:
        """How many nats of negative log-likelihood one unit of the mean loss stands for; outputs [B, K] by head."""


class Multiclass:
    """Cross-entropy over exclusive classes, in nats; targets [B] are class indices.

    `class_weights` [K] multiply the losses of a class's samples. With label smoothing s the target's probability is
    `1 - s + s/K` and that of every other class `s/K` (Szegedy et al. 2016).
    """

    metrics: Metrics = MulticlassMetrics()

    def __init__(self, *, class_weights: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        self._weights = class_weights
        self._smoothing = label_smoothing

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """[B, K] -> scalar"""
        if self._weights is None:
            return functional.cross_entropy(outputs, targets, label_smoothing=self._smoothing)
        return self._per_sample(outputs, targets).mean()

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """[B, K] -> [B]"""
        return self._per_sample(outputs.double(), targets)

    def _per_sample(self, outputs: Tensor, targets: Tensor) -> Tensor:
        losses = functional.cross_entropy(outputs, targets, reduction="none", label_smoothing=self._smoothing)
        return losses if self._weights is None else losses * self._weights.to(losses)[targets]

    def evidence(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The most likely class and the right one [B, 2]."""
        return torch.stack([outputs.argmax(dim=1), targets], dim=1)

    def average(self, outputs: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        """Logarithm of the averaged probabilities."""
        parts = [
            functional.log_softmax(outputs[name].double(), dim=1) + float(np.log(weight))
            for name, weight in weights.items()
            if weight > 0.0
        ]
        return torch.logsumexp(torch.stack(parts), dim=0)

    def nats(self, outputs: Mapping[str, Tensor], targets: Tensor) -> float:
        """The loss is in nats."""
        return 1.0

    def pool(self, outputs: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of log-probabilities; the loss normalises it."""
        parts = [weight * functional.log_softmax(outputs[name].double(), dim=1) for name, weight in weights.items()]
        return torch.stack(parts).sum(dim=0)


class Binary(Multiclass):
    """Two exclusive classes: the cross-entropy of two outputs, and the metrics of the second class."""

    metrics: Metrics = BinaryMetrics()

    def evidence(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The log-odds of the second class, the more likely class and the right one [B, 3]."""
        outputs = outputs.double()
        return torch.stack([outputs[:, 1] - outputs[:, 0], outputs.argmax(dim=1), targets], dim=1)


class Multilabel:
    """Binary cross-entropy in nats, the mean over K labels; targets [B, K] are 1 where the sample has the label.

    The mean and not the sum over labels: a loss, its gradients and a good learning rate then do not grow with their
    number. The weights of the heads do not depend on the choice, since a factor common to all losses cancels in them.
    With label smoothing s a target is `s/2` or `1 - s/2`.
    """

    metrics: Metrics = MultilabelMetrics()

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        self._smoothing = label_smoothing

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """[B, K] -> scalar"""
        return self._per_sample(outputs, targets).mean()

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """[B, K] -> [B]"""
        return self._per_sample(outputs.double(), targets)

    def _per_sample(self, outputs: Tensor, targets: Tensor) -> Tensor:
        wanted = targets.to(outputs.dtype) * (1.0 - self._smoothing) + 0.5 * self._smoothing
        return functional.binary_cross_entropy_with_logits(outputs, wanted, reduction="none").mean(dim=1)

    def evidence(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Log-odds and targets [B, 2, K]."""
        return torch.stack([outputs.double(), targets.double()], dim=1)

    def average(self, outputs: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        """Log-odds of the averaged probabilities, from the averages of p and of 1 - p: neither is rounded to 0."""
        terms = [(outputs[name].double(), float(np.log(weight))) for name, weight in weights.items() if weight > 0.0]
        yes = torch.logsumexp(torch.stack([functional.logsigmoid(logits) + share for logits, share in terms]), dim=0)
        no = torch.logsumexp(torch.stack([functional.logsigmoid(-logits) + share for logits, share in terms]), dim=0)
        return yes - no

    def nats(self, outputs: Mapping[str, Tensor], targets: Tensor) -> float:
        """The loss is the mean over labels of what the likelihood sums."""
        return float(next(iter(outputs.values())).shape[1])

    def pool(self, outputs: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of log-odds: a pool of two outcomes per label."""
        return torch.stack([weight * outputs[name].double() for name, weight in weights.items()]).sum(dim=0)


class Regression:
    """Squared error of the standardised target; targets [B] are standardised, outputs [B, 1] are too.

    Predictions and errors are reported in the target's own unit.
    """

    metrics: Metrics = RegressionMetrics()

    def __init__(self, scale: TargetScale) -> None:
        self._scale = scale

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """[B, 1] -> scalar"""
        return self._per_sample(outputs, targets).mean()

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """[B, 1] -> [B]"""
        return self._per_sample(outputs.double(), targets)

    def _per_sample(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[:, 0] - targets.to(outputs.dtype)) ** 2

    def evidence(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Prediction and target [B, 2], in the target's unit."""
        return torch.stack([outputs[:, 0].double(), targets.double()], dim=1) * self._scale.scale + self._scale.mean

    def average(self, outputs: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        """The weighted mean of the predictions."""
        parts = [outputs[name].double() * weight for name, weight in weights.items() if weight > 0.0]
        return torch.stack(parts).sum(dim=0)

    def nats(self, outputs: Mapping[str, Tensor], targets: Tensor) -> float:
        """`1 / (2 s^2)` for Gaussian noise of the variance s^2 that the best head's errors have."""
        best = min(float(self.losses(output, targets).mean()) for output in outputs.values())
        return 1.0 / (2.0 * max(best, _LEAST_VARIANCE))

    def pool(self, outputs: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the predictions (stacked regressions, Breiman 1996)."""
        return torch.stack([weight * outputs[name].double() for name, weight in weights.items()]).sum(dim=0)


def objective_for(data: PreparedData, loss: LossSpec, device: torch.device) -> Objective:
    """The objective of a job's target. Class weights are fitted on T."""
    if data.target_scale is not None:
        return Regression(data.target_scale)
    if data.task == "multilabel":
        return Multilabel(label_smoothing=loss.label_smoothing)
    kind = Binary if data.task == "binary" else Multiclass
    fitted = class_weights(data, loss)
    if fitted is None:
        return kind(label_smoothing=loss.label_smoothing)
    weights = torch.tensor(list(fitted.values()), dtype=torch.float64, device=device)
    return kind(class_weights=weights, label_smoothing=loss.label_smoothing)


def class_weights(data: PreparedData, loss: LossSpec) -> dict[str, float] | None:
    """Class -> weight of its samples' losses, of mean 1 over the samples of T; `None`: all are 1.

    `balanced` gives `N / (K n_c)` for the n_c of T's N samples in each of K classes, so that every class weighs the
    same (King & Zeng 2001, and scikit-learn's word for it).
    """
    if loss.class_weights == "none":
        return None
    counts: NDArray[Any] = np.bincount(data.targets[data.split.train], minlength=len(data.classes)).astype(np.float64)
    if loss.class_weights == "balanced":
        raw = 1.0 / np.maximum(counts, 1.0)
    else:
        raw = np.array([loss.class_weights.get(name, 1.0) for name in data.classes])
    return dict(zip(data.classes, (raw * counts.sum() / (raw @ counts)).tolist(), strict=True))
