"""Who trains: the one learner of a joint strategy, or a learner per modality where nothing is shared."""

from __future__ import annotations

import torch

from core.models.classifier import MultimodalClassifier
from core.models.seeding import derive
from core.spec import EnsembleBlending, JobSpec, MmParetoBlending, OgmGeBlending, UncertaintyBlending
from core.training.distributed import ALONE, Ranks
from core.training.learner import Learner
from core.training.objective import Objective
from core.training.rng import RngStream
from core.training.rules import Blend, MMPareto, OgmGe, Rule, Uncertainty

LIVE = "_live"
"""The name of the learner that trains the whole model; no modality's, for those begin with a letter."""
_STREAM = "live"
"""What the random stream of a run's training is derived from."""


def learners_of(
    spec: JobSpec, model: MultimodalClassifier, objective: Objective, device: torch.device, ranks: Ranks = ALONE
) -> dict[str, Learner]:
    """The learners of a strategy, by name; they train `model`, whose tensors they hold."""
    if isinstance(spec.blending, EnsembleBlending):
        # The seed of the stream is that of a uni-modal job, which every one of them equals bit for bit.
        return {
            name: _learner(spec, model.part([name]), Blend(objective), derive(spec.seed, "rng", _STREAM), device, ranks)
            for name in model.modalities
        }
    rule = rule_of(spec, model, objective, device)
    return {LIVE: _learner(spec, model, rule, derive(spec.seed, "rng", _STREAM), device, ranks)}


def apart(
    spec: JobSpec, model: MultimodalClassifier, objective: Objective, device: torch.device, ranks: Ranks = ALONE
) -> dict[str, Learner]:
    """A learner for each modality's encoder and head, which they train within `model`: the pre-training."""
    return {
        name: _learner(
            spec, model.part([name]), Blend(objective), derive(spec.seed, "rng", "pretrain", name), device, ranks
        )
        for name in model.modalities
    }


def rule_of(spec: JobSpec, model: MultimodalClassifier, objective: Objective, device: torch.device) -> Rule:
    """How a joint strategy turns a batch into gradients."""
    blending = spec.blending
    if isinstance(blending, UncertaintyBlending):
        return Uncertainty(objective, model.heads, device)
    if isinstance(blending, OgmGeBlending):
        return OgmGe(objective, alpha=blending.alpha, noise=blending.noise)
    if isinstance(blending, MmParetoBlending):
        return MMPareto(objective, gamma=blending.gamma)
    return Blend(objective)


def _learner(
    spec: JobSpec, model: MultimodalClassifier, rule: Rule, seed: int, device: torch.device, ranks: Ranks
) -> Learner:
    return Learner(
        model,
        dict.fromkeys(model.heads, 1.0),
        rule=rule,
        optimizer=spec.training.optimizer,
        rng=RngStream(seed, device, ranks),
        max_grad_norm=spec.training.max_grad_norm,
    )
