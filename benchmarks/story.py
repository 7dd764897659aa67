"""The events of a run that was never trained: as many super-epochs as one likes, with numbers that look like a run's.

For measuring, and testing, what shows and sends histories. Nothing here is a result of anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from core.events import (
    Cost,
    EpochCompleted,
    EstimateEpoch,
    HeadEstimate,
    JobEvent,
    JournalEntry,
    Measurement,
    PhaseStarted,
    RunStarted,
    SuperEpochWeights,
)
from core.events.types import Split

HEADS = ("audio", "image", "fused")
SPLITS: tuple[Split, ...] = ("train", "holdout", "validation")


def entries(
    super_epochs: int, *, epochs_each: int = 1, estimate_epochs: int = 0, heads: Sequence[str] = HEADS
) -> Iterator[JournalEntry]:
    """A run's journal up to its last epoch: 1 + `super_epochs` * (3 + `epochs_each` + `estimate_epochs`) entries."""
    told = events(super_epochs, epochs_each=epochs_each, estimate_epochs=estimate_epochs, heads=heads)
    for number, event in enumerate(told, start=1):
        yield JournalEntry(number=number, event=event)


def events(
    super_epochs: int, *, epochs_each: int = 1, estimate_epochs: int = 0, heads: Sequence[str] = HEADS
) -> Iterator[JobEvent]:
    """The events themselves."""
    yield RunStarted(
        heads=tuple(heads),
        classes=("no", "yes"),
        counts={"train": 800, "holdout": 100, "validation": 100, "test": 100},
        parameters=123_456,
        dataset_fingerprint="sha256:" + "0" * 64,
        super_epochs=super_epochs,
        environment={"torch": "2", "device": "cpu", "packages": {"torch": "2"}},
    )
    total = super_epochs * epochs_each
    for super_epoch in range(super_epochs):
        yield PhaseStarted(phase="estimating", super_epoch=super_epoch)
        for epoch in range(estimate_epochs):
            yield EstimateEpoch(super_epoch=super_epoch, epoch=epoch + 1, epochs=estimate_epochs)
        yield weights(super_epoch, super_epochs, epochs_each, heads)
        yield PhaseStarted(phase="training", super_epoch=super_epoch)
        for inside in range(epochs_each):
            epoch = super_epoch * epochs_each + inside + 1
            yield EpochCompleted(
                epoch=epoch,
                super_epoch=super_epoch,
                measurements=tuple(measured(head, split, epoch, total, heads) for head in heads for split in SPLITS),
                cost=Cost(seconds=0.1, samples=800),
            )


def weights(super_epoch: int, super_epochs: int, epochs_each: int, heads: Sequence[str]) -> SuperEpochWeights:
    """Weights that wander, the first head's from much to little; they sum to 1."""
    done = super_epoch / super_epochs
    raw = [1.1 + math.sin(6 * done + 2 * place) - (done if place == 0 else 0) for place in range(len(heads))]
    shares = [value / sum(raw) for value in raw]
    return SuperEpochWeights(
        super_epoch=super_epoch,
        first_epoch=super_epoch * epochs_each,
        epochs=epochs_each,
        policy="shrunk",
        heads=tuple(_estimate(head, place, done, shares[place]) for place, head in enumerate(heads)),
        alternatives={"paper": dict(zip(heads, shares, strict=True))},
        degenerate=False,
        reason=None,
        cost=Cost(seconds=0.05, samples=256, measured=900),
    )


def _estimate(head: str, place: int, done: float, share: float) -> HeadEstimate:
    gain = 0.3 * (1 - done) / (place + 1) + 0.01
    overfitting = 0.02 + 0.2 * done * (2 - place * 0.5)
    return HeadEstimate(
        head=head,
        train_before=1.0,
        train_after=1.0 - gain - overfitting,
        holdout_before=1.0,
        holdout_after=1.0 - gain,
        G=gain,
        G_se=0.2 * gain,
        O=overfitting,
        O_se=0.2 * overfitting,
        ogr=overfitting / gain,
        ogr_se=0.3 * overfitting / gain,
        weight=share,
        weight_low=max(0.0, share - 0.05),
        weight_high=min(1.0, share + 0.05),
        learnt=True,
        flags=("noise_dominated",) if gain < 0.05 else (),
    )


def measured(head: str, split: Split, epoch: int, epochs: int, heads: Sequence[str]) -> Measurement:
    """Training loss falls; held-out loss falls, then rises for the first head."""
    done = epoch / epochs
    place = list(heads).index(head)
    loss = math.exp(-3 * done * (1 + 0.2 * place)) + 0.02 * math.sin(epoch)
    if split != "train":
        loss += 0.5 * done * done if place == 0 else 0.1 * done
    accuracy = max(0.0, min(1.0, 1 - 0.5 * loss))
    return Measurement(
        head=head,
        split=split,
        loss=loss,
        loss_se=0.01,
        accuracy=accuracy,
        accuracy_se=0.02,
        score=accuracy,
        score_se=0.02,
        metrics={"accuracy": accuracy, "balanced_accuracy": accuracy},
        samples=100,
    )
