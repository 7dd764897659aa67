"""What is looked at while training goes on, and when that ends the run."""

from __future__ import annotations

from collections.abc import Iterator

from core.errors import TrainingError
from core.events import Measurement
from core.events.types import Split
from core.spec.base import AVERAGE
from core.training.batches import Rows
from core.training.session import Session


def measured_parts(session: Session) -> Iterator[tuple[Split, Rows]]:
    """The parts that are measured while training goes on; the test part is read once, at the end."""
    split = session.data.split
    parts: dict[Split, Rows] = {"train": split.train, "holdout": split.holdout, "validation": split.validation}
    return ((part, rows) for part, rows in parts.items() if len(rows))


def refuse_divergence(measurements: tuple[Measurement, ...], epoch: int) -> None:
    """`TrainingError` where a head's loss is not finite."""
    for measured in measurements:
        if measured.loss is None and measured.head != AVERAGE:
            raise TrainingError(
                f"the {measured.split} loss of the head {measured.head!r} is not finite after epoch {epoch}",
                code="training.loss_not_finite",
                hint="lower training.optimizer.lr, or set training.max_grad_norm (1.0 is a good start)",
            )
