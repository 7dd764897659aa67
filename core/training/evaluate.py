"""The end of a run: which head answers, what every head makes of the test part, and the files that stay.

The answer is chosen on the validation part, or on V where there is none; the test part is read once, afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from core.events import Cost, JobEvent, Measurement, PhaseStarted, RunCompleted
from core.events.types import Split
from core.spec import FUSED
from core.training.batches import Rows
from core.training.export import write_artifacts
from core.training.fine_tune import FINE_TUNED, WithFineTuned
from core.training.measure import AVERAGE, Scores, measure
from core.training.progress import ProgressMeter
from core.training.session import Session


def evaluate(session: Session, meter: ProgressMeter, run_dir: Path) -> Iterator[JobEvent]:
    """Chooses the answer, measures the test part, writes the artifacts, and yields `run.completed`."""
    split, counters = session.data.split, session.counters
    meter.phase = "evaluating"
    yield PhaseStarted(phase="evaluating")
    started = time.perf_counter()
    part: Split = "validation" if len(split.validation) else "holdout"
    selection = _measured(session, split.validation if part == "validation" else split.holdout, part)
    answer, reason = choose(selection, _candidates(session), asked=session.spec.answer, part=part)
    test = _measured(session, split.test, "test")
    counters.charge("evaluating", seconds=time.perf_counter() - started, samples=0)
    meter.phase = "saving"
    yield PhaseStarted(phase="saving")
    answered = next(measured for measured in test if measured.head == answer)
    artifacts = write_artifacts(session, run_dir, answer=answer, test=test, selection=selection)
    meter.finish()
    yield RunCompleted(
        test=test,
        selection=selection,
        answer=answer,
        answer_reason=reason,
        test_accuracy=answered.accuracy,
        test_loss=answered.loss,
        weights=counters.weights,
        cost={
            phase: Cost(seconds=spent["seconds"], samples=int(spent["samples"]))
            for phase, spent in counters.cost.items()
        },
        artifacts=artifacts,
    )


def choose(
    selection: tuple[Measurement, ...], candidates: tuple[str, ...], *, asked: str, part: Split
) -> tuple[str, str]:
    """The head that answers, and why: highest accuracy on `part`, a tie goes to the lower loss, then to the first."""
    if asked != "auto" and asked in candidates:
        return asked, "asked for in the spec"
    if len(candidates) == 1:
        why = f"the spec asks for {asked!r}, which this run does not have; " if asked != "auto" else ""
        return candidates[0], f"{why}it is the only one"
    measured = {found.head: found for found in selection if found.head in candidates}

    def merit(name: str) -> tuple[float, float]:
        found = measured[name]
        return (found.accuracy or 0.0, -(found.loss if found.loss is not None else float("inf")))

    ranked = sorted(candidates, key=merit, reverse=True)
    first, second = measured[ranked[0]], measured[ranked[1]]
    return ranked[0], (
        f"accuracy {first.accuracy:.4f} (standard error {first.accuracy_se:.4f}) on {part}, "
        f"ahead of {ranked[1]} with {second.accuracy:.4f}"
    )


def _candidates(session: Session) -> tuple[str, ...]:
    if FUSED not in session.heads:
        return session.heads
    found = [FUSED] if FUSED in session.counters.trained else []
    if session.fine_tune is not None:
        found.append(FINE_TUNED)
    if session.average is not None:
        found.append(AVERAGE)
    return tuple(found) or session.heads[:1]


def _measured(session: Session, rows: Rows, part: Split) -> tuple[Measurement, ...]:
    """Every head, trained or not (flagged), the fine-tuned head and the average of the heads."""
    heads, module = list(session.heads), None
    if session.fine_tune is not None:
        heads.append(FINE_TUNED)
        module = WithFineTuned(session.model, session.fine_tune.head)
    scores: dict[str, Scores] = measure(
        module or session.model, session.batches.in_order(rows), heads, average=session.average
    )
    known = {*session.counters.trained, FINE_TUNED, AVERAGE}
    return tuple(
        found.measurement(head, part, () if head in known else ("untrained",)) for head, found in scores.items()
    )
