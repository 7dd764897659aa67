"""Tables for people, drawn with rich. The service's text goes in as `Text`: never markup, never a control code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gblend_client.cli.output import clean
from gblend_client.cli.state import Head, WatchState
from gblend_client.types import HeadEstimate, Job, Measurement, SuperEpoch

_SPLITS = ("train", "holdout", "validation", "test")
_WORDS = frozenset({"", "head", "job", "status", "created", "name"})
"""Columns of words; all others hold numbers."""
_STATUS_STYLES = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}


def live(state: WatchState) -> RenderableType:
    """The picture that `watch` redraws."""
    parts: list[RenderableType] = [_headline(state), _progress(state)]
    if state.heads:
        parts.append(heads_table(state.heads.values()))
    if state.degenerate:
        parts.append(_cell(f"weights kept: {state.degenerate}", "yellow"))
    if not state.is_reachable:
        parts.append(_cell("the service does not answer; trying again", "yellow"))
    return Group(*parts)


def heads_table(heads: Iterable[Head]) -> Table:
    """Weight, G, O, OGR and the latest losses and accuracies, a row per head."""
    rows = list(heads)
    splits = [split for split in _SPLITS if any(split in row.latest for row in rows)]
    table = _table("head", "weight", "G", "O", "OGR", *(f"{split} loss / acc" for split in splits))
    for row in rows:
        measured = [_measured(row.latest.get(split)) for split in splits]
        table.add_row(_cell(row.name, "bold"), *_estimate_cells(row.estimate), *measured)
    return table


def result_table(test: Sequence[Measurement], answer: str | None) -> Table:
    """The test metrics of every head, the answer marked."""
    table = _table("head", "test accuracy", "test loss", "samples", "")
    for row in test:
        chosen = row.head == answer
        table.add_row(
            _cell(row.head, "bold green" if chosen else ""),
            _cell(_accuracy(row.accuracy, row.accuracy_se)),
            _cell(_with_error(row.loss, row.loss_se)),
            _cell("" if row.samples is None else str(row.samples)),
            _cell("<- the answer" if chosen else "", "green"),
        )
    return table


def super_epochs_table(rows: Sequence[SuperEpoch]) -> Table:
    """The history of the weights: a row per super-epoch and head."""
    table = _table("super-epoch", "epochs", "head", "weight", "90 %", "G", "O", "OGR", "")
    for row in rows:
        last = None if row.first_epoch is None or not row.epochs else row.first_epoch + row.epochs
        span = "" if last is None or row.first_epoch is None else f"{row.first_epoch + 1}-{last}"
        for index, head in enumerate(row.heads):
            weight, *rest = _estimate_cells(head)
            low_high = "" if head.weight_low is None else f"{_number(head.weight_low)}-{_number(head.weight_high)}"
            remark = ("weights kept" if row.degenerate else "") if index == 0 else ""
            first = (str(row.super_epoch), span) if index == 0 else ("", "")
            table.add_row(*first, _cell(head.head), weight, _cell(low_high), *rest, _cell(remark, "yellow"))
    return table


def jobs_table(jobs: Iterable[Job]) -> Table:
    """A row per job."""
    table = _table("job", "status", "progress", "test acc", "created", "name")
    for job in jobs:
        percent = job.progress.percent if job.progress is not None and not job.is_terminal else None
        accuracy = job.result.test_accuracy if job.result is not None else None
        table.add_row(
            _cell(job.id),
            _cell(job.status, _STATUS_STYLES.get(job.status, "")),
            _cell("" if percent is None else f"{percent:.0f} %"),
            _cell("" if accuracy is None else _accuracy(accuracy, None)),
            _cell(moment(job.created_at) or ""),
            _cell(job.name or ""),
        )
    return table


def facts(values: Mapping[str, object]) -> Table:
    """Names and values, those without a value left out."""
    table = Table.grid(padding=(0, 2))
    for name, value in values.items():
        if value is not None and value != "":
            table.add_row(_cell(name, "dim"), _cell(str(value)))
    return table


def moment(time: datetime | None) -> str | None:
    """A time for people, to the second."""
    return None if time is None else f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _headline(state: WatchState) -> Text:
    parts = [state.job_id, state.status]
    if state.status == "queued" and state.queue_position:
        parts.append(f"number {state.queue_position} in the queue")
    if state.status == "running" and state.phase:
        parts.append(state.phase.replace("_", "-"))
    if state.super_epoch is not None and state.super_epochs:
        parts.append(f"super-epoch {state.super_epoch + 1}/{state.super_epochs}")
    if state.epoch is not None:
        parts.append(f"epoch {state.epoch}{f'/{state.epochs}' if state.epochs else ''}")
    return _cell("  ".join(parts), _STATUS_STYLES.get(state.status, ""))


def _progress(state: WatchState) -> RenderableType:
    percent = 100.0 if state.status == "succeeded" else state.percent
    if percent is None:
        return Text("")
    row = Table.grid(padding=(0, 1))
    eta = "" if state.eta_seconds is None or percent >= 100 else f"{_duration(state.eta_seconds)} left"
    row.add_row(ProgressBar(total=100, completed=percent, width=40), _cell(f"{percent:3.0f} %"), _cell(eta, "dim"))
    return row


def _estimate_cells(estimate: HeadEstimate | None) -> tuple[Text, Text, Text, Text]:
    if estimate is None:
        return Text(""), Text(""), Text(""), Text("")
    noise = "dim" if estimate.learnt is False else ""
    return (
        _cell(_number(estimate.weight), "bold"),
        _cell(_number(estimate.G), noise),
        _cell(_number(estimate.O), noise),
        _cell(_number(estimate.ogr), noise),
    )


def _measured(row: Measurement | None) -> Text:
    return Text("") if row is None else _cell(f"{_number(row.loss)} / {_accuracy(row.accuracy, None)}")


def _accuracy(value: float | None, error: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if error is None else f"{100 * value:.1f} ± {100 * error:.1f} %"


def _with_error(value: float | None, error: float | None) -> str:
    return _number(value) if value is None or error is None else f"{_number(value)} ± {_number(error)}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.2e}"


def _duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name in _WORDS else "right", no_wrap=True)
    return table


def _cell(text: str, style: str = "") -> Text:
    return Text(clean(text), style=style)
