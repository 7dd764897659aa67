"""Journal entries to rows: the event itself, and what it says about the job, its super-epochs and its metrics."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy.orm import Session

from core.events import (
    EpochCompleted,
    EstimateStarted,
    FineTuneEpoch,
    JobEvent,
    JournalEntry,
    Measurement,
    PhaseStarted,
    PretrainEpoch,
    RunCompleted,
    RunStarted,
    SuperEpochWeights,
)
from core.events.messages import describe
from core.jobs.ledger import Ledger
from core.persistence.orm import EventRow, MetricRow, SuperEpochRow


def record_entry(session: Session, ledger: Ledger, entry: JournalEntry, *, of: str = "run") -> None:
    """Write one entry and everything derived from it. The caller has made sure that its number is the next one.

    `of` names the journal: `<of>:<number>` is unique within the job.
    """
    event = entry.event
    level, message = describe(event)
    # Through the JSON encoder, which turns what is not finite into null: JSON columns hold no NaN.
    data = json.loads(event.model_dump_json(exclude={"type"}))
    row = ledger.append(event.type, message=message, data=data, dedupe_key=f"{of}:{entry.number}", level=level)
    session.flush()  # the rows below refer to the event's
    _note_on_job(ledger, event)
    if isinstance(event, SuperEpochWeights):
        session.add(_super_epoch(row, event))
    session.add_all(_metrics(row, event))


def _note_on_job(ledger: Ledger, event: JobEvent) -> None:
    job = ledger.job
    if isinstance(event, PhaseStarted):
        job.phase = event.phase
    elif isinstance(event, EstimateStarted):
        job.phase = "estimating"
    elif isinstance(event, RunStarted):
        job.dataset_fingerprint = event.dataset_fingerprint
        job.environment = json.loads(event.model_dump_json(include={"environment"}))["environment"]


def _super_epoch(row: EventRow, event: SuperEpochWeights) -> SuperEpochRow:
    data = row.data
    return SuperEpochRow(
        job_id=row.job_id,
        super_epoch=event.super_epoch,
        first_epoch=event.first_epoch,
        epochs=event.epochs,
        policy=event.policy,
        weights={head.head: head.weight for head in event.heads},
        heads=data["heads"],
        alternatives=data["alternatives"],
        degenerate=event.degenerate,
        reason=event.reason,
        cost=data["cost"],
        seq=row.seq,
        created_at=row.created_at,
    )


def _metrics(row: EventRow, event: JobEvent) -> Iterable[MetricRow]:
    """Loss and metrics of every measurement. `epoch` is 0 for the scope `test`, which is measured once."""
    measured: tuple[Measurement, ...]
    match event:
        case PretrainEpoch():
            scope, epoch, measured = "pretrain", event.epoch, event.measurements
        case EpochCompleted():
            scope, epoch, measured = "epoch", event.epoch, event.measurements
        case FineTuneEpoch():
            scope, epoch, measured = "fine_tune", event.epoch, event.measurements
        case RunCompleted():
            scope, epoch, measured = "test", 0, event.test
        case _:
            return
    position = 0
    for measurement in measured:
        for metric, value, se in numbers_of(measurement):
            yield MetricRow(
                job_id=row.job_id,
                seq=row.seq,
                position=position,
                scope=scope,
                epoch=epoch,
                head=measurement.head,
                split=measurement.split,
                metric=metric,
                value=value,
                se=se,
            )
            position += 1


def numbers_of(measurement: Measurement) -> list[tuple[str, float | None, float | None]]:
    """`(metric, value, standard error)`: the loss, then every metric; the score's error belongs to the primary one."""
    found = [("loss", measurement.loss, measurement.loss_se)]
    if measurement.accuracy is not None or not measurement.metrics:
        found.append(("accuracy", measurement.accuracy, measurement.accuracy_se))
    primary = next(iter(measurement.metrics), None)  # metrics come with the primary one first
    for name, value in measurement.metrics.items():
        if name != "accuracy":
            found.append((name, value, measurement.score_se if name == primary else None))
    return found
