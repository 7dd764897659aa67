"""What the examples print while jobs run and when they have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gblend_client import Event
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from examples._runs import ESTIMATED, FUSED, UNIMODAL, Run, modalities

PLAIN_WIDTH = 160
"""A pipe has no width."""
HEADS = {"fused": "fused head", "fused_fine_tuned": "fused, fine-tuned", "heads_average": "average of heads"}
"""The joint answers that a model can give, as columns."""
_TOLD = ("run.completed", "run.failed", "run.warning")
_EVERY_EPOCHS = 5

EventHandler = Callable[[Run, Event], None]


def console() -> Console:
    """Standard output; without colours and cuts where it is no terminal."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


@contextmanager
def progress(out: Console, runs: Sequence[Run]) -> Iterator[EventHandler]:
    """A table redrawn in place on a terminal, plain lines elsewhere; yields what to call for every event."""
    if out.is_terminal and not out.is_dumb_terminal:
        with Live(console=out, get_renderable=lambda: live_table(runs), refresh_per_second=4, transient=True):
            yield lambda run, event: None
    else:
        began = time.monotonic()

        def tell(run: Run, event: Event) -> None:
            line = event_line(run, event)
            if line is not None:
                out.print(f"[{time.monotonic() - began:6.1f} s] {line}", markup=False, soft_wrap=True)

        yield tell


def live_table(runs: Sequence[Run]) -> Table:
    """Every run with its weights and its latest losses; the heads in one order for all of them."""
    table = Table(box=box.SIMPLE_HEAD, caption=f"weights and losses: {' / '.join(_heads(runs[0]))}")
    for name in ("strategy", "state", "epoch", "weights", "train loss", "holdout loss"):
        table.add_column(name, no_wrap=True)
    for run in runs:
        state = run.state
        doing = (state.phase or state.status) if state.status == "running" else state.status
        table.add_row(
            run.strategy,
            doing.replace("_", "-"),
            "" if state.epoch is None else str(state.epoch),
            _per_head(_weights(run)),
            _per_head(_losses(run, "train")),
            _per_head(_losses(run, "holdout")),
        )
    return table


def event_line(run: Run, event: Event) -> str | None:
    """The event as a line, or `None` for one of those that a reader would only scroll past."""
    if event.type == "epoch.completed":
        epoch = event.data.get("epoch")
        if not isinstance(epoch, int) or epoch % _EVERY_EPOCHS:
            return None
        train, holdout = (_named(_losses(run, split)) for split in ("train", "holdout"))
        return f"{run.strategy:<15} epoch {epoch}: train loss {train}; holdout loss {holdout}"
    estimated = event.type == "super_epoch.weights" and run.strategy in ESTIMATED
    if estimated or event.type in _TOLD or event.data.get("status") == "failed":
        return f"{run.strategy:<15} {event.message}"
    return None


def result_table(runs: Sequence[Run]) -> Table:
    """Test accuracies, a row per run, all as measured."""
    table = Table(box=box.SIMPLE_HEAD, title="Test accuracy", title_justify="left")
    for name in ("strategy", "answer", "accuracy", *HEADS.values(), "seconds"):
        table.add_column(name, no_wrap=True, justify="left" if name in ("strategy", "answer") else "right")
    for run in runs:
        if not run.succeeded or run.job is None or run.job.result is None:
            table.add_row(run.strategy, run.problem or run.state.status)
            continue
        found = {} if run.strategy.startswith(UNIMODAL) else run.head_accuracy
        accuracies = [_accuracy(found.get(head)) for head in HEADS]
        seconds = "" if run.seconds is None else f"{run.seconds:.0f}"
        table.add_row(run.strategy, run.job.result.answer or "", _accuracy(run.accuracy), *accuracies, seconds)
    return table


def _heads(run: Run) -> list[str]:
    return [*modalities(run.spec), FUSED]


def _weights(run: Run) -> dict[str, float | None]:
    estimates = {name: head.estimate for name, head in run.state.heads.items()}
    return {name: None if (found := estimates.get(name)) is None else found.weight for name in _heads(run)}


def _losses(run: Run, split: str) -> dict[str, float | None]:
    latest = {name: head.latest.get(split) for name, head in run.state.heads.items()}
    return {name: None if (found := latest.get(name)) is None else found.loss for name in _heads(run)}


def _per_head(values: dict[str, float | None]) -> str:
    if all(value is None for value in values.values()):
        return ""
    return " / ".join("  - " if value is None else f"{value:.2f}" for value in values.values())


def _named(values: dict[str, float | None]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items() if value is not None)


def _accuracy(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
