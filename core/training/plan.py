"""How much work a run will be, in samples, before it starts: what its progress is measured against."""

from __future__ import annotations

from core.training.estimators import planned
from core.training.forgetting import PROBE_EPOCHS
from core.training.session import Session, estimator_of


def planned_samples(session: Session) -> int:
    """Forward-and-backward passes of the whole run, summed over heads: what progress is measured against."""
    rows, epochs = len(session.data.split.train), session.spec.training.epochs
    strategy = session.spec.blending.strategy
    heads = {"naive": 1, "unimodal": 1, "ogm_ge": 1, "ensemble": len(session.model.modalities)}
    total = rows * epochs * heads.get(strategy, len(session.heads))
    total += rows * session.spec.training.pretrain_epochs * len(session.model.modalities)
    if strategy in ("offline", "online"):
        total += planned_estimates(session)
    if session.fine_tunes:
        total += rows * session.spec.training.fine_tune.epochs
    if session.looks_for_forgetting:
        total += planned_probes(session)
    return total


def planned_probes(session: Session) -> int:
    """The share of the forgetting diagnostic: every modality alone, and two probes for each."""
    rows, training = len(session.data.split.train), session.spec.training
    return rows * len(session.model.modalities) * (training.pretrain_epochs + training.epochs + 2 * PROBE_EPOCHS)


def planned_estimates(session: Session) -> int:
    """The share of all estimates in `planned_samples`."""
    return sum(
        planned(
            estimator_of(session.spec),
            rows=len(session.data.split.train),
            batch_size=session.spec.training.batch_size,
            epochs=coming.epochs,
            heads=len(session.heads),
        )
        for coming in session.schedule
        if coming.estimated
    )


def samples_done(session: Session) -> int:
    """What a run has behind it already: what was done before it was interrupted, and what others did for it."""
    counters = session.counters
    own = int(sum(spent["samples"] for spent in counters.cost.values())) + counters.under_way.samples
    return own + (session.joined.spent.samples if session.joined is not None else 0)
