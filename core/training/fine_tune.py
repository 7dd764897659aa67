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
from core.spec.base import FINE_TUNED, FUSED
from core.spec.recipe import TrainingSpec
from core.training.batches import Batch, InOrder
from core.training.distributed import ALONE, Ranks
from core.training.learner import Learner, train_pass
from core.training.measure import measuring
from core.training.rng import RngStream
from core.training.rules import Rule

_FEATURES = "features"


class FrozenHead:
    """A head, its optimizer, and the frozen features [N, F] that it is trained on."""

    def __init__(
        self,
        head: nn.Module,
        features: Tensor,
        targets: Tensor,
        *,
        name: str,
        rule: Rule,
        training: TrainingSpec,
        seed: int,
        device: torch.device,
        ranks: Ranks = ALONE,
    ) -> None:
        self.head = head
        self._name = name
        self._seed = seed
        self._ranks = ranks
        self._batch_size = training.batch_size
        self._features, self._targets = features, targets
        self.learner = Learner(
            _OneHead(head),
            {name: 1.0},
            rule=rule,
            optimizer=training.optimizer,
            rng=RngStream(derive(seed, "rng", name), device, ranks),
            max_grad_norm=training.max_grad_norm,
        )

    def train_epoch(self, epoch: int, tick: Callable[[int], None], done: int = 0) -> int:
        """One pass over the features in an order of its own, without its first `done` batches; returns the samples
        processed."""
        return train_pass([self.learner], self._shuffled(derive(self._seed, "order", self._name, epoch), tick, done))

    def _shuffled(self, seed: int, tick: Callable[[int], None], done: int) -> Iterator[Batch]:
        order = np.random.default_rng(seed).permutation(len(self._targets))
        for start in range(done * self._batch_size, len(order), self._batch_size):
            whole = order[start : start + self._batch_size]
            chosen = torch.from_numpy(whole[self._ranks.share(len(whole))]).to(self._targets.device)
            yield Batch({_FEATURES: self._features[chosen]}, self._targets[chosen], len(whole), self._ranks)
            tick(len(whole))


def fine_tuned(
    model: MultimodalClassifier,
    batches: InOrder,
    *,
    rule: Rule,
    training: TrainingSpec,
    seed: int,
    device: torch.device,
    ranks: Ranks = ALONE,
) -> FrozenHead:
    """A copy of the fused head over the frozen features [N, sum of F] of all modalities, before its first epoch."""
    features, targets = frozen_features(model, batches, model.modalities)
    head = copy.deepcopy(model.head(FUSED))
    return FrozenHead(
        head,
        features,
        targets,
        name=FINE_TUNED,
        rule=rule,
        training=training,
        seed=seed,
        device=device,
        ranks=ranks,
    )


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


def frozen_features(model: MultimodalClassifier, batches: InOrder, modalities: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Concatenated features [N, sum of F] of these modalities, in eval mode, and their targets."""
    features, targets = [], []
    with measuring(model):
        for batch in batches:
            features.append(torch.cat(list(model.features(batch.inputs, modalities).values()), dim=1))
            targets.append(batch.targets)
    return batches.together(features), batches.together(targets)
