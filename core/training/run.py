"""The one path of every training, whatever its strategy: a generator that yields what happens, in order.

    for event in run(session, meter): ...        # core.training.__main__ journals and checkpoints each event

Reads from top to bottom. A session restored from a checkpoint goes through the same lines and skips what its counters
say is done. The state is consistent at every `yield`: that is where a checkpoint may be taken. Events that begin
something (`run.started`, `phase.started`) are yielded before any counter moves, so a resumed run tells them again or
not at all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from core.blend import decide
from core.errors import TrainingError
from core.events import (
    Cost,
    EpochCompleted,
    EstimateEpoch,
    FineTuneEpoch,
    JobEvent,
    Measurement,
    PhaseStarted,
    RunStarted,
    SuperEpochWeights,
    Warned,
)
from core.events.types import Split
from core.models.seeding import derive
from core.spec import FUSED, OfflineBlending, OnlineBlending
from core.training.batches import Rows, with_tick
from core.training.decisions import constant_weights, estimated, given
from core.training.environment import environment
from core.training.evaluate import evaluate
from core.training.fine_tune import FINE_TUNED, WithFineTuned
from core.training.learner import train_pass
from core.training.measure import AVERAGE, measure
from core.training.progress import ProgressMeter
from core.training.session import Session


def run(session: Session, meter: ProgressMeter, run_dir: Path) -> Iterator[JobEvent]:
    """Trains, and yields every event of the training; artifacts are written below `run_dir` at the end."""
    yield from _begin(session)
    while session.counters.super_epoch < len(session.schedule):
        if isinstance(session.spec.blending, OfflineBlending | OnlineBlending):
            yield from _estimate(session, meter)
        else:
            yield from _give_weights(session)
        yield from _train(session, meter)
        session.counters.next_super_epoch()
    yield from _fine_tune(session, meter)
    yield from evaluate(session, meter, run_dir)


def _begin(session: Session) -> Iterator[JobEvent]:
    counters, data = session.counters, session.data
    if counters.super_epoch or counters.estimate_epoch or counters.decided:
        return
    yield RunStarted(
        heads=session.heads,
        classes=data.classes,
        counts={name: len(rows) for name, rows in _parts(session).items()},
        holdout_groups=data.holdout_groups,
        parameters=sum(parameter.numel() for parameter in session.model.parameters()),
        dataset_fingerprint=data.fingerprint,
        super_epochs=len(session.schedule),
        environment=environment(session.device),
    )
    for warning in data.warnings:
        yield Warned(code=warning.code, message=warning.detail, hint=warning.hint)


def _estimate(session: Session, meter: ProgressMeter) -> Iterator[JobEvent]:
    """GB_Estimate for the super-epoch under way, then its weights."""
    counters, data, batches = session.counters, session.data, session.batches
    if counters.decided:
        return
    now = session.super_epoch_now()
    blending = session.spec.blending
    assert isinstance(blending, OfflineBlending | OnlineBlending)
    meter.phase, meter.super_epoch = "estimating", now.index
    train, holdout = data.split.train, data.split.holdout
    started = time.perf_counter()
    if session.estimate is None:
        yield PhaseStarted(phase="estimating", super_epoch=now.index)
        session.estimate = session.open_estimate()
        session.estimate.measure_before(batches.in_order(train), batches.in_order(holdout))
    estimate = session.estimate
    while counters.estimate_epoch < now.epochs:
        seed = derive(session.spec.seed, "order", "estimate", now.index, counters.estimate_epoch)
        tick = meter.times(len(estimate.heads))
        samples = estimate.train_epoch(with_tick(batches.shuffled(train, seed), tick))
        counters.estimate_epoch += 1
        counters.charge_estimate(seconds=time.perf_counter() - started, samples=samples)
        started = time.perf_counter()
        yield EstimateEpoch(super_epoch=now.index, epoch=counters.estimate_epoch, epochs=now.epochs)
    losses = estimate.losses(batches.in_order(train), batches.in_order(holdout))
    decision = decide(
        losses,
        policy=blending.policy,
        previous=counters.weights or None,
        seed=derive(session.spec.seed, "bootstrap", now.index),
    )
    counters.charge_estimate(seconds=time.perf_counter() - started, samples=0)
    yield _decided(session, estimated(session.super_epoch_now(), decision, counters.estimate_cost))


def _give_weights(session: Session) -> Iterator[JobEvent]:
    """The weights of a strategy that estimates nothing."""
    if session.counters.decided:
        return
    now = session.super_epoch_now()
    policy, weights = constant_weights(session.spec.blending, session.heads)
    event = given(now, policy, weights)
    yield _decided(session, event)


def _decided(session: Session, event: SuperEpochWeights) -> SuperEpochWeights:
    """Puts the weights in force."""
    counters = session.counters
    session.estimate = None
    counters.decided = True
    counters.weights = {head.head: head.weight for head in event.heads}
    counters.history.append(event.model_dump(mode="json"))
    session.live.weights = counters.weights
    return event


def _train(session: Session, meter: ProgressMeter) -> Iterator[JobEvent]:
    """The blended epochs of the super-epoch under way (Eq. 7)."""
    counters, now = session.counters, session.super_epoch_now()
    meter.phase, meter.super_epoch = "training", now.index
    if counters.epoch == now.first_epoch:
        yield PhaseStarted(phase="training", super_epoch=now.index)
    while counters.epoch < now.end:
        started = time.perf_counter()
        seed = derive(session.spec.seed, "order", "train", counters.epoch)
        rows = with_tick(
            session.batches.shuffled(session.data.split.train, seed), meter.times(len(session.live.weights))
        )
        samples = train_pass([session.live], rows)
        seconds = time.perf_counter() - started
        counters.epoch += 1
        meter.epoch = counters.epoch
        counters.trained = [head for head in session.heads if head in session.live.weights or head in counters.trained]
        counters.charge("training", seconds=seconds, samples=samples)
        measurements = _measure_parts(session)
        _refuse_divergence(measurements, counters.epoch)
        yield EpochCompleted(
            epoch=counters.epoch,
            super_epoch=now.index,
            measurements=measurements,
            cost=Cost(seconds=seconds, samples=samples),
        )


def _fine_tune(session: Session, meter: ProgressMeter) -> Iterator[JobEvent]:
    """The fused head on frozen encoders, for every strategy that has one."""
    spec, counters = session.spec.training.fine_tune, session.counters
    if not spec.enabled or FUSED not in session.heads:
        return
    meter.phase, meter.super_epoch = "fine_tuning", None
    if session.fine_tune is None:
        yield PhaseStarted(phase="fine_tuning")
        session.fine_tune = session.open_fine_tune()
    module = WithFineTuned(session.model, session.fine_tune.head)
    while counters.fine_tune_epoch < spec.epochs:
        started = time.perf_counter()
        samples = session.fine_tune.train_epoch(counters.fine_tune_epoch, meter.tick)
        seconds = time.perf_counter() - started
        counters.fine_tune_epoch += 1
        counters.charge("fine_tuning", seconds=seconds, samples=samples)
        measurements = tuple(
            measure(module, session.batches.in_order(rows), [FINE_TUNED])[FINE_TUNED].measurement(FINE_TUNED, part)
            for part, rows in _parts(session).items()
            if part != "test" and len(rows)
        )
        _refuse_divergence(measurements, counters.fine_tune_epoch)
        yield FineTuneEpoch(
            epoch=counters.fine_tune_epoch, measurements=measurements, cost=Cost(seconds=seconds, samples=samples)
        )


def _measure_parts(session: Session) -> tuple[Measurement, ...]:
    """Every trained head, and their average, on all parts but the test."""
    heads = session.counters.trained
    return tuple(
        scores.measurement(head, part)
        for part, rows in _parts(session).items()
        if part != "test" and len(rows)
        for head, scores in measure(
            session.model, session.batches.in_order(rows), heads, average=session.average
        ).items()
    )


def _parts(session: Session) -> dict[Split, Rows]:
    split = session.data.split
    return {"train": split.train, "holdout": split.holdout, "validation": split.validation, "test": split.test}


def _refuse_divergence(measurements: tuple[Measurement, ...], epoch: int) -> None:
    for measured in measurements:
        if measured.loss is None and measured.head != AVERAGE:
            raise TrainingError(
                f"the {measured.split} loss of the head {measured.head!r} is not finite after epoch {epoch}",
                code="training.loss_not_finite",
                hint="lower training.optimizer.lr, or set training.max_grad_norm (1.0 is a good start)",
            )
