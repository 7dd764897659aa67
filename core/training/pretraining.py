"""Every modality's encoder and head alone, before the joint training (`training.pretrain_epochs`).

The baseline "naive from uni-modal pre-training" of Gradient-Blending's paper; any joint strategy may start so. The
learners are those of an ensemble and share nothing; the joint training that follows begins with a fresh optimizer.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.events import Cost, JobEvent, PhaseStarted, PretrainEpoch
from core.models.seeding import derive
from core.training.batches import with_tick
from core.training.learner import train_pass
from core.training.passes import Pass
from core.training.progress import ProgressMeter
from core.training.session import Session
from core.training.watching import measured_parts, refuse_divergence


def pretrain(session: Session, meter: ProgressMeter) -> Iterator[JobEvent]:
    """Yields one `pretrain.epoch` per epoch; nothing where none is asked for or all are done."""
    counters, epochs = session.counters, session.spec.training.pretrain_epochs
    if counters.pretrain_epoch == epochs:
        return
    meter.phase, meter.super_epoch = "pretraining", None
    if session.apart is None:
        yield PhaseStarted(phase="pretraining")
        session.open_pretraining()
    assert session.apart is not None
    learners = list(session.apart.values())
    while counters.pretrain_epoch < epochs:
        under_way = Pass(counters, meter)
        seed = derive(session.spec.seed, "order", "pretrain", counters.pretrain_epoch)
        batches = session.batches.shuffled(session.data.split.train, seed, under_way.done)
        train_pass(learners, with_tick(batches, under_way.times(len(learners))))
        ended = under_way.end()
        counters.pretrain_epoch += 1
        counters.charge("pretraining", seconds=ended.seconds, samples=ended.samples)
        measurements = tuple(
            found.measurement(head, part)
            for part, rows in measured_parts(session)
            for head, found in session.measure(rows, session.model.modalities, average=False).items()
        )
        refuse_divergence(measurements, counters.pretrain_epoch)
        if counters.pretrain_epoch == epochs:
            session.apart = None
        yield PretrainEpoch(
            epoch=counters.pretrain_epoch,
            epochs=epochs,
            measurements=measurements,
            cost=Cost(seconds=ended.seconds, samples=ended.samples),
        )
