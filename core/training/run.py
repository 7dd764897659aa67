"""The one path of every training, whatever its strategy: a generator that yields what happens, in order.

    for event in run(session, meter): ...        # core.training.__main__ journals and checkpoints each event

Reads from top to bottom. A session restored from a checkpoint goes through the same lines and skips what its counters
say is done. The state is consistent at every `yield`, and between two steps of a `Pass`: there a checkpoint may be
taken. Events that begin something (`run.started`, `phase.started`) are yielded before any counter moves, so a resumed
run tells them again or not at all.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

from core.blend import decide
from core.events import (
    Cost,
    EpochCompleted,
    EstimateEpoch,
    EstimateStarted,
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
from core.spec import OfflineBlending, OnlineBlending
from core.spec.base import AVERAGE, FINE_TUNED
from core.training import spread
from core.training.batches import with_tick
from core.training.counters import Position
from core.training.decisions import cost_of, estimated, given, steering, warm_up
from core.training.environment import environment
from core.training.estimators import PARTS, Found, Spent, losses_of, strata_of
from core.training.evaluate import evaluate
from core.training.fine_tune import WithFineTuned
from core.training.learner import train_pass
from core.training.measure import Scores
from core.training.passes import Pass
from core.training.pretraining import pretrain
from core.training.progress import ProgressMeter
from core.training.session import Session
from core.training.watching import measured_parts, refuse_divergence


def run(session: Session, meter: ProgressMeter, run_dir: Path) -> Iterator[JobEvent]:
    """Trains, and yields every event of the training; artifacts are written below `run_dir` at the end."""
    yield from _begin(session)
    yield from pretrain(session, meter)
    while session.counters.super_epoch < len(session.schedule) and session.training():
        if isinstance(session.spec.blending, OfflineBlending | OnlineBlending):
            yield from _estimate(session, meter)
        else:
            yield from _give_weights(session)
        yield from _train(session, meter)
        session.counters.next_super_epoch()
    yield from _fine_tune(session, meter)
    yield from evaluate(session, meter, run_dir)


def estimate_head(session: Session, meter: ProgressMeter, run_dir: Path) -> Iterator[JobEvent]:
    """The estimate of `session.estimates_alone` before the first super-epoch, and nothing else of the run.

    Yields what happens, and at the end `estimate.completed` with the file for the run (`core.training.spread`).
    """
    counters, now, head = session.counters, session.super_epoch_now(), session.estimates_alone
    assert head is not None
    meter.phase, meter.super_epoch = "estimating", now.index
    opening = EstimateStarted(super_epoch=now.index, head=head, epochs=now.epochs)
    found, spent, under_way = yield from _estimate_heads(session, meter, opening)
    counters.charge_estimate(seconds=under_way.end().seconds, spent=spent)
    meter.write()
    run = {name: value for name, value in session.identity.items() if name != "head"}
    yield spread.write(run_dir, head, found, identity=run, cost=cost_of(counters.estimate_cost))


def _begin(session: Session) -> Iterator[JobEvent]:
    counters, data = session.counters, session.data
    if counters.begun:
        return
    yield RunStarted(
        heads=session.heads,
        task=data.task,
        metric=session.objective.metrics.primary,
        classes=data.classes,
        counts={name: len(rows) for name, rows in data.split.as_dict().items()},
        holdout_groups=data.holdout_groups,
        parameters=sum(parameter.numel() for parameter in session.model.parameters()),
        dataset_fingerprint=data.fingerprint,
        super_epochs=len(session.schedule),
        environment=environment(session.device, session.ranks.size),
    )
    for warning in data.warnings:
        yield Warned(code=warning.code, message=warning.detail, hint=warning.hint)
    if isinstance(session.spec.blending, OnlineBlending) and not any(each.estimated for each in session.schedule):
        yield Warned(
            code="blending.nothing_to_estimate_from",
            message=f"all {session.spec.training.epochs} epochs are the first super-epoch, whose weights are equal",
            hint="set blending.super_epochs.first below training.epochs, or the estimator 'exact'",
        )


def _estimate(session: Session, meter: ProgressMeter) -> Iterator[JobEvent]:
    """The estimate for the super-epoch under way, by whatever estimator, then its weights."""
    counters, data = session.counters, session.data
    if counters.decided:
        return
    now = session.super_epoch_now()
    blending = session.spec.blending
    assert isinstance(blending, OfflineBlending | OnlineBlending)
    meter.phase, meter.super_epoch = "estimating", now.index
    if not now.estimated:
        started = time.perf_counter()
        spent = session.look_before_training()
        counters.charge_estimate(seconds=time.perf_counter() - started, spent=spent)
        yield _decided(session, given(now, *warm_up(session.heads), counters.estimate_cost))
        return
    opening = PhaseStarted(phase="estimating", super_epoch=now.index)
    if session.joined is None:
        found, spent, under_way = yield from _estimate_heads(session, meter, opening)
    else:
        if not (counters.estimate_epoch or counters.under_way.done):
            yield opening
        counters.under_way = Position()  # it may be that of an estimate which this run had begun itself
        counters.charge_estimate(seconds=session.joined.seconds, spent=session.joined.spent)
        found, spent, under_way = session.joined.found, Spent(), Pass(counters, meter)
    decision = decide(
        found.losses,
        steering(blending, session.heads),
        previous=counters.weights or None,
        seed=derive(session.spec.seed, "bootstrap", now.index),
        train_groups=None if data.groups is None else data.groups[found.train],
        holdout_groups=None if data.groups is None else data.groups[found.holdout],
        train_strata=strata_of(data, data.split.train, found.train),
        holdout_strata=strata_of(data, data.split.holdout, found.holdout),
        train_population=len(data.split.train),
    )
    counters.charge_estimate(seconds=under_way.end().seconds, spent=spent)
    yield _decided(session, estimated(now, decision, counters.estimate_cost, found.flags))


def _estimate_heads(
    session: Session, meter: ProgressMeter, opening: JobEvent
) -> Generator[JobEvent, None, tuple[Found, Spent, Pass]]:
    """The estimate under way, from its beginning or from where a checkpoint left it; `opening` tells that it begins.

    Returns the losses, and what is not charged yet: the work of the last pass, and that pass.
    """
    counters, now = session.counters, session.super_epoch_now()
    if session.estimate is None:
        yield opening
        started = time.perf_counter()
        session.estimate = session.open_estimate()
        spent = session.estimate.begin(session.live_losses)
        counters.charge_estimate(seconds=time.perf_counter() - started, spent=spent)
    estimate = session.estimate
    while counters.estimate_epoch < estimate.epochs:
        under_way = Pass(counters, meter)
        spent = estimate.epoch(counters.estimate_epoch, under_way.tick, under_way.done)
        counters.estimate_epoch += 1
        counters.charge_estimate(seconds=under_way.end().seconds, spent=spent)
        yield EstimateEpoch(
            super_epoch=now.index,
            epoch=counters.estimate_epoch,
            epochs=estimate.epochs,
            head=session.estimates_alone,
        )
    under_way = Pass(counters, meter)
    found, spent = estimate.finish(under_way.tick, under_way.done)
    return found, spent, under_way


def _give_weights(session: Session) -> Iterator[JobEvent]:
    """The weights of a strategy that estimates nothing."""
    if session.counters.decided:
        return
    now = session.super_epoch_now()
    yield _decided(session, given(now, *session.weights_without_estimate()))


def _decided(session: Session, event: SuperEpochWeights) -> SuperEpochWeights:
    """Puts the weights in force."""
    counters = session.counters
    session.forget_estimate()
    counters.decided = True
    counters.weights = {head.head: head.weight for head in event.heads}
    counters.history.append(event.model_dump(mode="json"))
    session.put_in_force(counters.weights)
    return event


def _train(session: Session, meter: ProgressMeter) -> Iterator[JobEvent]:
    """The blended epochs of the super-epoch under way (Eq. 7)."""
    counters, now = session.counters, session.super_epoch_now()
    meter.phase, meter.super_epoch = "training", now.index
    if counters.epoch == now.first_epoch and not counters.under_way.done:
        yield PhaseStarted(phase="training", super_epoch=now.index)
    while counters.epoch < now.end and (learners := session.training()):
        under_way = Pass(counters, meter)
        seed = derive(session.spec.seed, "order", "train", counters.epoch)
        heads = [head for learner in learners for head in learner.weights]
        batches = session.batches.shuffled(session.data.split.train, seed, under_way.done)
        train_pass(learners, with_tick(batches, under_way.times(len(heads))))
        ended = under_way.end()
        counters.epoch += 1
        meter.epoch = counters.epoch
        counters.trained = [head for head in session.heads if head in heads or head in counters.trained]
        counters.charge("training", seconds=ended.seconds, samples=ended.samples)
        scores = _measure_parts(session)
        measurements = _told(session, scores)
        refuse_divergence(measurements, counters.epoch)
        yield EpochCompleted(
            epoch=counters.epoch,
            super_epoch=now.index,
            measurements=measurements,
            cost=Cost(seconds=ended.seconds, samples=ended.samples),
            early_stopping=session.look_whether_to_stop(measurements),
            restored=session.look_what_to_keep(scores[session.part_of_choice]),
        )


def _fine_tune(session: Session, meter: ProgressMeter) -> Iterator[JobEvent]:
    """The fused head on frozen encoders, for every strategy that has one."""
    spec, counters = session.spec.training.fine_tune, session.counters
    if not session.fine_tunes:
        return
    meter.phase, meter.super_epoch = "fine_tuning", None
    if session.fine_tune is None:
        yield PhaseStarted(phase="fine_tuning")
        session.fine_tune = session.open_fine_tune()
    module = WithFineTuned(session.model, session.fine_tune.head)
    while counters.fine_tune_epoch < spec.epochs:
        under_way = Pass(counters, meter)
        session.fine_tune.train_epoch(counters.fine_tune_epoch, under_way.tick, under_way.done)
        ended = under_way.end()
        counters.fine_tune_epoch += 1
        counters.charge("fine_tuning", seconds=ended.seconds, samples=ended.samples)
        measurements = tuple(
            session.measure(rows, [FINE_TUNED], module=module, average=False)[FINE_TUNED].measurement(FINE_TUNED, part)
            for part, rows in measured_parts(session)
        )
        refuse_divergence(measurements, counters.fine_tune_epoch)
        yield FineTuneEpoch(
            epoch=counters.fine_tune_epoch,
            measurements=measurements,
            cost=Cost(seconds=ended.seconds, samples=ended.samples),
        )


def _measure_parts(session: Session) -> dict[Split, dict[str, Scores]]:
    """Every trained head, and their average, on all parts but the test.

    Where the next estimate starts from what the live heads are now, the same pass looks at all of them, and is kept.
    """
    keep = session.counters.epoch == session.super_epoch_now().end and session.keeps_live_losses()
    scores = {
        part: session.measure(rows, session.heads if keep and part in PARTS else session.counters.trained)
        for part, rows in measured_parts(session)
    }
    if keep:
        session.live_losses.now = {part: losses_of(scores[part], session.heads) for part in PARTS}
    return scores


def _told(session: Session, scores: Mapping[Split, Mapping[str, Scores]]) -> tuple[Measurement, ...]:
    """What an event says of these scores: heads that have never had a weight are left out."""
    told = {*session.counters.trained, AVERAGE}
    return tuple(
        found.measurement(head, part)
        for part, by_head in scores.items()
        for head, found in by_head.items()
        if head in told
    )
