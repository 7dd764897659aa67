"""What one needs to believe a result: how much each modality contributes to the answer, and what it lost on the way."""

from __future__ import annotations

import numpy as np
from torch import nn

from core.blend.errors import mean_and_error
from core.events import Contribution
from core.models.seeding import derive
from core.spec.base import AVERAGE
from core.training.measure import measure
from core.training.session import Session

SHUFFLES = 5
"""Shuffles per modality: the standard error of the drop is over these."""


def contributions(session: Session, module: nn.Module, head: str, score: float | None) -> tuple[Contribution, ...]:
    """How far the test score of `head` falls from `score` when a modality's inputs are shuffled over the test rows.

    A head that does not read a modality has a drop of exactly 0 for it. Shuffles come from the run's seed.
    """
    return tuple(_contribution(session, module, head, name, score) for name in session.model.modalities)


def _contribution(session: Session, module: nn.Module, head: str, modality: str, score: float | None) -> Contribution:
    shuffled = [_shuffled(session, module, head, modality, shuffle) for shuffle in range(SHUFFLES)]
    known = np.array([found for found in shuffled if found is not None])
    if score is None or len(known) < SHUFFLES:
        return Contribution(modality=modality, score=None, drop=None, drop_se=None)
    drop, error = mean_and_error(score - known)
    return Contribution(modality=modality, score=float(known.mean()), drop=drop, drop_se=error)


def _shuffled(session: Session, module: nn.Module, head: str, modality: str, shuffle: int) -> float | None:
    test = session.data.split.test
    rng = np.random.default_rng(derive(session.spec.seed, "contribution", modality, shuffle))
    batches = session.batches.in_order(test, {modality: rng.permutation(test)})
    average = session.average if head == AVERAGE else None
    heads = list(average) if average else [head]
    scores = measure(module, batches, heads, objective=session.objective, average=average)
    return scores[head].measurement(head, "test").score
