"""A spec and the events of a short run, for tests of the engine."""

from __future__ import annotations

import hashlib
from typing import Any

from core.events import (
    ArtifactWritten,
    Cost,
    EpochCompleted,
    EstimateCompleted,
    EstimateEpoch,
    EstimateStarted,
    HeadEstimate,
    JobEvent,
    JournalEntry,
    Measurement,
    PhaseStarted,
    RunCompleted,
    RunStarted,
    SuperEpochWeights,
)
from core.spec import JobSpec

MODEL = b"weights of a model"
HEADS = ("audio", "image", "fused")


def spec(**changes: Any) -> JobSpec:
    """A spec that is valid as it stands; its data need not exist, since the scripted child reads none."""
    raw: dict[str, Any] = {
        "dataset": {
            "source": {"type": "manifest", "uri": "data://digits/manifest.csv"},
            "target": {"column": "digit"},
            "modalities": [
                {"type": "image", "name": "image", "column": "picture"},
                {"type": "audio", "name": "audio", "column": "sound"},
            ],
        },
        **changes,
    }
    return JobSpec.model_validate(raw)


def measurement(head: str, split: str, loss: float | None) -> Measurement:
    """A measurement whose accuracy is 0.5."""
    return Measurement.model_validate(
        {
            "head": head,
            "split": split,
            "loss": loss,
            "loss_se": 0.01,
            "accuracy": 0.5,
            "accuracy_se": 0.02,
            "samples": 100,
        }
    )


def weights(super_epoch: int) -> SuperEpochWeights:
    """The weights of a super-epoch of one epoch."""
    head = dict.fromkeys(HeadEstimate.model_fields) | {"flags": (), "learnt": True}
    heads = (
        HeadEstimate.model_validate(head | {"head": "audio", "weight": 0.25, "G": 0.1}),
        HeadEstimate.model_validate(head | {"head": "image", "weight": 0.5, "G": 0.2}),
        HeadEstimate.model_validate(head | {"head": "fused", "weight": 0.25, "G": 0.1}),
    )
    return SuperEpochWeights(
        super_epoch=super_epoch,
        first_epoch=super_epoch,
        epochs=1,
        policy="shrunk",
        heads=heads,
        alternatives={"paper": {"audio": 0.2, "image": 0.6, "fused": 0.2}},
        degenerate=False,
        reason=None,
        cost=Cost(seconds=0.5, samples=200),
    )


def run(epochs: int = 3) -> list[JournalEntry]:
    """All entries of a run with one super-epoch per epoch: 3 * epochs + 2 of them."""
    events: list[JobEvent] = [
        RunStarted(
            heads=("audio", "image", "fused"),
            classes=("0", "1"),
            counts={"train": 80, "holdout": 10, "test": 10},
            parameters=1234,
            dataset_fingerprint="sha256:" + "0" * 64,
            super_epochs=epochs,
            environment={"torch": "2"},
        )
    ]
    for epoch in range(epochs):
        events += [
            PhaseStarted(phase="training", super_epoch=epoch),
            weights(epoch),
            EpochCompleted(
                epoch=epoch + 1,
                super_epoch=epoch,
                measurements=(measurement("image", "train", 1.0 / (epoch + 1)), measurement("image", "holdout", None)),
                cost=Cost(seconds=0.1, samples=80),
            ),
        ]
    events.append(completed())
    return [JournalEntry(number=number, event=event) for number, event in enumerate(events, start=1)]


def estimate(head: str, epochs: int = 3) -> list[JournalEntry]:
    """All entries of one head's estimate: epochs + 2 of them. It leaves `estimate.bin` with `losses_of(head)` in it."""
    losses = losses_of(head)
    events: list[JobEvent] = [
        EstimateStarted(super_epoch=0, head=head, epochs=epochs),
        *(EstimateEpoch(super_epoch=0, epoch=epoch + 1, epochs=epochs, head=head) for epoch in range(epochs)),
        EstimateCompleted(
            super_epoch=0,
            head=head,
            cost=Cost(seconds=0.5, samples=80 * epochs, measured=180),
            path="estimate.bin",
            bytes=len(losses),
            sha256=hashlib.sha256(losses).hexdigest(),
        ),
    ]
    return [JournalEntry(number=number, event=event) for number, event in enumerate(events, start=1)]


def losses_of(head: str) -> bytes:
    """What stands for a head's losses."""
    return f"losses of {head}\n".encode()


def completed() -> RunCompleted:
    """The end of a run that leaves one file, `artifacts/model.bin`, with `MODEL` in it."""
    return RunCompleted(
        test=(measurement("fused", "test", 0.75),),
        selection=(measurement("fused", "holdout", 0.7),),
        answer="fused",
        answer_reason="asked for",
        test_accuracy=0.5,
        test_loss=0.75,
        weights={"audio": 0.25, "image": 0.5, "fused": 0.25},
        cost={"training": Cost(seconds=1.0, samples=240)},
        artifacts=(
            ArtifactWritten(
                name="model.bin",
                path="artifacts/model.bin",
                kind="model",
                bytes=len(MODEL),
                sha256=hashlib.sha256(MODEL).hexdigest(),
            ),
        ),
    )
