"""The end of a run: which head answers, what every head makes of the test part, what each modality contributed, and
the files that stay.

The answer is chosen on the validation part, or on V where there is none. The test part is looked at once, afterwards,
and nothing is decided by it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

from torch import nn

from core.events import ArtifactWritten, Cost, JobEvent, Measurement, PhaseStarted, RunCompleted
from core.events.types import Split
from core.models.seeding import derive
from core.spec.base import AVERAGE, FINE_TUNED, POOL
from core.training.answer import Answer, WithPool, choose
from core.training.batches import Rows
from core.training.diagnostics import contributions
from core.training.export import write_artifacts
from core.training.fine_tune import WithFineTuned
from core.training.forgetting import forgotten
from core.training.progress import ProgressMeter
from core.training.session import Session

SHIFT_Z = 3.0
"""Selection and test disagree where their scores differ by so many standard errors of the difference."""
_FEWEST = 10
"""Rows below which a part's score is too coarse to disagree with."""


def evaluate(session: Session, meter: ProgressMeter, run_dir: Path) -> Iterator[JobEvent]:
    """Chooses the answer, measures the test part, writes the artifacts, and yields `run.completed`."""
    data, counters = session.data, session.counters
    meter.phase = "evaluating"
    if session.alone is None:  # else the run was cut off in what follows, and all but that is done again
        yield PhaseStarted(phase="evaluating")
    started, before = time.perf_counter(), counters.under_way.seconds
    part: Split = "validation" if len(data.split.validation) else "holdout"
    rows = data.split.validation if part == "validation" else data.split.holdout
    model = _with_fine_tuned(session)
    answer = choose(session, model, rows, None if data.groups is None else data.groups[rows])
    module = WithPool(model, session.objective, answer.pool) if answer.pool else model
    selection = _measured(session, module, rows, part, pooled=bool(answer.pool))
    test = _measured(session, module, data.split.test, "test", pooled=bool(answer.pool))
    answered = _of(test, answer.head)
    wanted = session.spec.diagnostics
    contributed = contributions(session, module, answer.head, answered.score) if wanted.contributions else ()
    lost, samples = forgotten(session, meter) if session.looks_for_forgetting else ((), 0)
    counters.charge("evaluating", seconds=before + time.perf_counter() - started, samples=samples)
    meter.phase = "saving"
    yield PhaseStarted(phase="saving")
    flags = _flags(session, answer, _of(selection, answer.head), answered)
    artifacts: tuple[ArtifactWritten, ...] = ()
    if session.ranks.is_first:
        artifacts = write_artifacts(
            session,
            run_dir,
            answer=answer,
            test=test,
            selection=selection,
            contributed=contributed,
            lost=lost,
            flags=flags,
        )
    meter.finish()
    yield RunCompleted(
        test=test,
        selection=selection,
        answer=answer.head,
        answer_reason=answer.reason,
        answer_part=part,
        answer_runner_up=answer.runner_up,
        answer_margin=answer.margin,
        answer_margin_se=answer.margin_se,
        pool=answer.pool,
        contributions=contributed,
        forgotten=lost,
        flags=flags,
        metric=session.objective.metrics.primary,
        test_score=answered.score,
        test_score_se=answered.score_se,
        test_accuracy=answered.accuracy,
        test_loss=answered.loss,
        weights=counters.weights,
        cost={
            phase: Cost(seconds=spent["seconds"], samples=int(spent["samples"]), measured=int(spent["measured"]))
            for phase, spent in counters.cost.items()
        },
        artifacts=artifacts,
    )


def _with_fine_tuned(session: Session) -> nn.Module:
    if session.fine_tune is None:
        return session.model
    return WithFineTuned(session.model, session.fine_tune.head)


def _measured(session: Session, module: nn.Module, rows: Rows, part: Split, *, pooled: bool) -> tuple[Measurement, ...]:
    """Every head, trained or not (flagged), the fine-tuned head, the pool and the average of the heads."""
    heads = [*session.heads, *([FINE_TUNED] if session.fine_tune is not None else []), *([POOL] if pooled else [])]
    known = {*session.counters.trained, FINE_TUNED, POOL, AVERAGE}
    return tuple(
        found.measurement(
            head,
            part,
            () if head in known else ("untrained",),
            bootstrap=derive(session.spec.seed, "score_se", part, head),
        )
        for head, found in session.measure(rows, heads, module=module).items()
    )


def _of(measurements: tuple[Measurement, ...], head: str) -> Measurement:
    return next(measured for measured in measurements if measured.head == head)


def _flags(session: Session, answer: Answer, selected: Measurement, tested: Measurement) -> tuple[str, ...]:
    """What a reader should know before believing the result."""
    history = session.counters.history
    flags = {"degenerate"} if any(entry["degenerate"] for entry in history) else set()
    for entry in history:
        for head in entry["heads"]:
            flags |= {"noise_dominated", "starved"} & set(head["flags"])
    if _disagree(selected, tested):
        flags.add("shift_suspected")
    return tuple(sorted(flags))


def _disagree(selected: Measurement, tested: Measurement) -> bool:
    """Whether the answer's score on the test part is another one than on the rows that it was chosen on.

    If it is not, one sample varies alike in both parts: the larger of the two estimates of that serves for both. Else
    a small part in which everything is right, and whose own error is therefore 0, would disagree with anything.
    """
    fewest = min(selected.samples, tested.samples)
    errors = (selected.score_se, tested.score_se)
    if selected.score is None or tested.score is None or None in errors or fewest < _FEWEST:
        return False
    spread = max((measured.score_se or 0.0) ** 2 * measured.samples for measured in (selected, tested))
    error = math.sqrt(spread * (1.0 / selected.samples + 1.0 / tested.samples))
    return abs(selected.score - tested.score) > SHIFT_Z * error > 0.0
