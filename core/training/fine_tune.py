"""The final fine-tune of the fused head on frozen encoders (paper, Fig. 5b; shared by every joint strategy).

With weights that sum to 1, a small fused weight starves the fused head. The encoders' features are computed once, in
eval mode, and a copy of the fused head is trained on them alone; the head as blending left it stays beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from core.models.classifier import MultimodalClassifier
from core.models.seeding import derive
from core.spec import FUSED
from core.spec.recipe import TrainingSpec
from core.training.batches import Batch, Batches, Rows
from core.training.learner import Learner, train_pass
from core.training.rng import RngStream

FINE_TUNED = "fused_fine_tuned"
_FEATURES = "features"


class FineTune:
    """A copy of the fused head, its optimizer, and the frozen features [N, sum of F] of the training rows."""

    def __init__(
        self,
        model: MultimodalClassifier,
        batches: Batches,
        rows: Rows,
        *,
        training: TrainingSpec,
        seed: int,
        device: torch.device,
    ) -> None:
        self._seed = seed
        self._batch_size = training.batch_size
        self._features, self._targets = _frozen_features(model, batches.in_order(rows))
        self.head = copy.deepcopy(model.head(FUSED))
        self.learner = Learner(
            _OneHead(self.head),
            {FINE_TUNED: 1.0},
            optimizer=training.optimizer,
            rng=RngStream(derive(seed, "rng", FINE_TUNED), device),
            max_grad_norm=training.max_grad_norm,
        )

    def train_epoch(self, epoch: int, tick: Callable[[int], None]) -> int:
        """One pass over the features in an order of its own; returns the samples processed."""
        return train_pass([self.learner], self._shuffled(derive(self._seed, "order", FINE_TUNED, epoch), tick))

    def _shuffled(self, seed: int, tick: Callable[[int], None]) -> Iterator[Batch]:
        order = np.random.default_rng(seed).permutation(len(self._targets))
        for start in range(0, len(order), self._batch_size):
            chosen = torch.from_numpy(order[start : start + self._batch_size]).to(self._targets.device)
            yield Batch({_FEATURES: self._features[chosen]}, self._targets[chosen])
            tick(len(chosen))


class WithFineTuned(nn.Module):
    """The model with the fine-tuned head as one more head, for measuring; each feature is computed once."""

    def __init__(self, model: MultimodalClassifier, head: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.fine_tuned = head

    def forward(self, inputs: Mapping[str, Tensor], heads: Sequence[str]) -> dict[str, Tensor]:
        """Logits [B, K] of the heads asked for, `fused_fine_tuned` among them."""
        wanted = [name for name in heads if name != FINE_TUNED]
        reads = self.model.modalities if FINE_TUNED in heads else self.model.reads(wanted)
        features = self.model.features(inputs, reads)
        logits = self.model.classify(features, wanted)
        if FINE_TUNED in heads:
            logits[FINE_TUNED] = self.fine_tuned(torch.cat(list(features.values()), dim=1))
        return logits


class _OneHead(nn.Module):
    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, inputs: Mapping[str, Tensor], heads: Sequence[str]) -> dict[str, Tensor]:
        return {name: self.head(inputs[_FEATURES]) for name in heads}


def _frozen_features(model: MultimodalClassifier, batches: Iterator[Batch]) -> tuple[Tensor, Tensor]:
    """Concatenated features [N, sum of F] and targets [N], in eval mode; the model's mode is restored."""
    features, targets = [], []
    training = model.training
    model.eval()
    with torch.no_grad():
        for batch in batches:
            features.append(torch.cat(list(model.features(batch.inputs, model.modalities).values()), dim=1))
            targets.append(batch.targets)
    model.train(training)
    return torch.cat(features), torch.cat(targets)
