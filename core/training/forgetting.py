"""How much of each modality's own skill a joint training forgot.

For every modality a network is trained alone, from the same initial parameters, on the same rows, for as many epochs as
the run took (pre-training included; where early stopping ended it, no longer), with the same choice of the epoch that
stays (`training.keep`). Then the features of the encoder that was trained jointly, and of the one trained alone, are
frozen, and the same linear head is trained on each (a linear probe: G. Alain, Y. Bengio, "Understanding intermediate
layers using linear classifier probes", 2016, arXiv 1610.01644). What the probe on the joint encoder lacks was
forgotten, or never learnt because another modality already explained the samples (paper, section 1: the joint model
under-uses modalities).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.blend.errors import mean_and_error
from core.events import Forgotten
from core.models.classifier import MultimodalClassifier
from core.models.seeding import derive
from core.training.batches import with_tick
from core.training.fine_tune import FrozenHead, frozen_features
from core.training.learner import Learner, train_pass
from core.training.measure import Scores, measuring
from core.training.passes import Pass
from core.training.progress import ProgressMeter
from core.training.rules import Blend
from core.training.session import Session

PROBE_EPOCHS = 20
"""Epochs of each linear probe."""


def forgotten(session: Session, meter: ProgressMeter) -> tuple[tuple[Forgotten, ...], int]:
    """One entry per modality, measured on the test part, and the samples that were trained on for it.

    It can be stopped. A resumed run goes on with the networks alone where it was, and repeats the probes.
    """
    alone = session.alone or session.open_alone()
    under_way = Pass(session.counters, meter)
    _train(session, alone, under_way)
    found = tuple(_compared(session, name, learner, meter) for name, learner in alone.items())
    session.forget_alone()
    return found, under_way.end().samples + 2 * PROBE_EPOCHS * len(found) * len(session.data.split.train)


def _train(session: Session, alone: Mapping[str, Learner], under_way: Pass) -> None:
    """All epochs are one pass, as there is no event between them; after each of them the keepers look."""
    data, batches = session.data, session.batches
    chosen_on = data.split.as_dict()[session.part_of_choice]
    per_epoch = batches.per_pass(data.split.train)
    epochs = session.counters.pretrain_epoch + session.counters.epoch
    for epoch in range(1, epochs + 1):
        if under_way.done > epoch * per_epoch:
            continue  # trained and looked at before the run was cut off
        seed = derive(session.spec.seed, "order", "train", epoch - 1)
        rest = batches.shuffled(data.split.train, seed, under_way.done - (epoch - 1) * per_epoch)
        train_pass(list(alone.values()), with_tick(rest, under_way.times(len(alone))))
        for name, keeper in session.keeping_alone.items():
            scores = session.measure(chosen_on, [name], module=alone[name].module, average=False)
            keeper.look(scores, epoch=epoch, last=epoch == epochs)


def _compared(session: Session, modality: str, alone: Learner, meter: ProgressMeter) -> Forgotten:
    assert isinstance(alone.module, MultimodalClassifier)
    joint_score, joint_merit = _probe(session, session.model, modality, meter)
    alone_score, alone_merit = _probe(session, alone.module, modality, meter)
    data = session.data
    groups = None if data.groups is None else data.groups[data.split.test]
    difference, error = mean_and_error(alone_merit - joint_merit, groups)
    known = alone_score is not None and joint_score is not None
    return Forgotten(
        modality=modality,
        alone=alone_score,
        joint=joint_score,
        forgotten=difference if known else None,
        forgotten_se=error if known else None,
    )


def _probe(
    session: Session, model: MultimodalClassifier, modality: str, meter: ProgressMeter
) -> tuple[float | None, NDArray[np.float64]]:
    """Test score of a linear head on the frozen features of one encoder, and its merit per test row [N]."""
    features, targets = frozen_features(model, session.batches.in_order(session.data.split.train), [modality])
    test, test_targets = frozen_features(model, session.batches.in_order(session.data.split.test), [modality])
    probe = FrozenHead(
        _linear(features, session.data.outputs, derive(session.spec.seed, "probe", modality)),
        features,
        targets,
        name=f"probe.{modality}",
        rule=Blend(session.objective),
        training=session.spec.training,
        seed=derive(session.spec.seed, "probe", modality),
        device=session.device,
        ranks=session.ranks,
    )
    for epoch in range(PROBE_EPOCHS):
        probe.train_epoch(epoch, meter.tick)
    with measuring(probe.head):
        outputs = probe.head(test)
    evidence = session.objective.evidence(outputs, test_targets).cpu().numpy()
    losses = session.objective.losses(outputs, test_targets).cpu().numpy()
    score = Scores(losses, evidence, session.objective.metrics).measurement("probe", "test").score
    return score, Scores.of(session.objective, outputs, test_targets).merits


def _linear(features: Tensor, outputs: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(features.shape[1], outputs).to(features.device)
