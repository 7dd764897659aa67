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
from gblend_client.types import Contribution, HeadEstimate, Job, Measurement, Progress, SuperEpoch, Worker

_SPLITS = ("train", "holdout", "validation", "test")
_WORDS = frozenset(
    {"", "head", "modality", "job", "status", "created", "name", "experiment", "strategy", "answered by", "weights"}
    | {"worker", "state", "queues", "gpus", "host", "version", "heard of", "jobs"}
)
"""Columns of words; all others hold numbers."""
_SHORT = {"accuracy": "acc", "mean_average_precision": "mAP"}
"""Names of metrics where room is scarce."""
_WORKER_STYLES = {"alive": "green", "lost": "red", "stopped": "yellow"}
STATUS_STYLES = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan", "paused": "magenta"}


def live(state: WatchState) -> RenderableType:
    """The picture that `watch` redraws."""
    parts: list[RenderableType] = [_headline(state), _progress(state)]
    if state.heads:
        parts.append(heads_table(state.heads.values(), state.metric))
    if state.degenerate:
        parts.append(cell(f"weights kept: {state.degenerate}", "yellow"))
    if not state.is_reachable:
        parts.append(cell("the service does not answer; trying again", "yellow"))
    return Group(*parts)


def how_far(progress: Progress) -> str:
    """`42 %`, or what is being done before there is anything to count."""
    return progress.detail or f"{progress.percent or 0:.0f} %"


def heads_table(heads: Iterable[Head], metric: str = "accuracy") -> Table:
    """Weight, G, O, OGR and the latest losses and scores, a row per head."""
    rows = list(heads)
    splits = [split for split in _SPLITS if any(split in row.latest for row in rows)]
    short = _SHORT.get(metric, metric)
    drawn = table("head", "weight", "G", "O", "OGR", *(f"{split} loss / {short}" for split in splits))
    for row in rows:
        measured = [_measured(row.latest.get(split), metric) for split in splits]
        drawn.add_row(cell(row.name, "bold"), *_estimate_cells(row.estimate), *measured)
    return drawn


def result_table(test: Sequence[Measurement], answer: str | None, metric: str = "accuracy") -> Table:
    """The test scores of every head, the answer marked."""
    drawn = table("head", f"test {metric.replace('_', ' ')}", "test loss", "samples", "")
    for row in test:
        chosen = row.head == answer
        drawn.add_row(
            cell(row.head, "bold green" if chosen else ""),
            cell(_score_of(row, metric, with_error=True)),
            cell(_with_error(row.loss, row.loss_se)),
            cell("" if row.samples is None else str(row.samples)),
            cell("<- the answer" if chosen else "", "green"),
        )
    return drawn


def contributions_table(contributions: Sequence[Contribution], metric: str) -> Table:
    """How far the test score falls when a modality is shuffled."""
    drawn = table("modality", f"{metric.replace('_', ' ')} when shuffled", "drop")
    for row in contributions:
        drawn.add_row(cell(row.modality), cell(_number(row.score)), cell(_with_error(row.drop, row.drop_se)))
    return drawn


def super_epochs_table(rows: Sequence[SuperEpoch]) -> Table:
    """The history of the weights: a row per super-epoch and head."""
    drawn = table("super-epoch", "epochs", "head", "weight", "90 %", "G", "O", "OGR", "")
    for row in rows:
        last = None if row.first_epoch is None or not row.epochs else row.first_epoch + row.epochs
        span = "" if last is None or row.first_epoch is None else f"{row.first_epoch + 1}-{last}"
        for index, head in enumerate(row.heads):
            weight, *rest = _estimate_cells(head)
            low_high = "" if head.weight_low is None else f"{_number(head.weight_low)}-{_number(head.weight_high)}"
            remark = ("weights kept" if row.degenerate else "") if index == 0 else ""
            first = (str(row.super_epoch), span) if index == 0 else ("", "")
            drawn.add_row(*first, cell(head.head), weight, cell(low_high), *rest, cell(remark, "yellow"))
    return drawn


def jobs_table(jobs: Iterable[Job]) -> Table:
    """A row per job."""
    rows = list(jobs)
    metrics = {_metric_of(job) for job in rows if job.result is not None} or {"accuracy"}
    drawn = table(
        "job", "status", "progress", "test acc" if metrics == {"accuracy"} else "test score", "created", "name"
    )
    for job in rows:
        percent = job.progress.percent if job.progress is not None and not job.is_terminal else None
        drawn.add_row(
            cell(job.id),
            cell(job.status, STATUS_STYLES.get(job.status, "")),
            cell("" if percent is None else f"{percent:.0f} %"),
            cell(_job_score(job)),
            cell(moment(job.created_at) or ""),
            cell(job.name or ""),
        )
    return drawn


def workers_table(workers: Iterable[Worker]) -> Table:
    """A row per worker."""
    drawn = table("worker", "state", "queues", "busy", "gpus", "host", "version", "heard of", "jobs")
    for row in workers:
        drawn.add_row(
            cell(row.id),
            cell(row.state, _WORKER_STYLES.get(row.state, "")),
            cell(", ".join(row.queues)),
            cell(f"{row.busy} of {row.slots}" if row.slots is not None else str(row.busy)),
            cell(", ".join(row.gpus) or "-"),
            cell("" if row.host is None else f"{row.host}:{row.pid}"),
            cell(row.version or ""),
            cell(moment(row.heartbeat_at) or ""),
            cell(" ".join(row.jobs)),
        )
    return drawn


def facts(values: Mapping[str, object]) -> Table:
    """Names and values, those without a value left out."""
    table = Table.grid(padding=(0, 2))
    for name, value in values.items():
        if value is not None and value != "":
            table.add_row(cell(name, "dim"), cell(str(value)))
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
    return cell("  ".join(parts), STATUS_STYLES.get(state.status, ""))


def _progress(state: WatchState) -> RenderableType:
    percent = 100.0 if state.status == "succeeded" else state.percent
    if percent is None:
        return Text("")
    if state.detail is not None and state.status != "succeeded":
        return cell(state.detail, "dim")
    row = Table.grid(padding=(0, 1))
    eta = "" if state.eta_seconds is None or percent >= 100 else f"{_duration(state.eta_seconds)} left"
    row.add_row(ProgressBar(total=100, completed=percent, width=40), cell(f"{percent:3.0f} %"), cell(eta, "dim"))
    return row


def _estimate_cells(estimate: HeadEstimate | None) -> tuple[Text, Text, Text, Text]:
    if estimate is None:
        return Text(""), Text(""), Text(""), Text("")
    noise = "dim" if estimate.learnt is False else ""
    return (
        cell(_number(estimate.weight), "bold"),
        cell(_number(estimate.G), noise),
        cell(_number(estimate.O), noise),
        cell(_number(estimate.ogr), noise),
    )


def _measured(row: Measurement | None, metric: str) -> Text:
    return Text("") if row is None else cell(f"{_number(row.loss)} / {_score_of(row, metric, with_error=False)}")


def _score_of(row: Measurement, metric: str, *, with_error: bool) -> str:
    """The primary metric. An older server tells the accuracy alone."""
    if metric == "accuracy":
        return _accuracy(row.accuracy, row.accuracy_se if with_error else None)
    return _with_error(row.score, row.score_se if with_error else None)


def _metric_of(job: Job) -> str:
    return (job.result.metric if job.result is not None else None) or "accuracy"


def _job_score(job: Job) -> str:
    """The answer's test score, with the metric's name where it is not the accuracy."""
    if job.result is None:
        return ""
    metric = _metric_of(job)
    if metric == "accuracy":
        return "" if job.result.test_accuracy is None else _accuracy(job.result.test_accuracy, None)
    return "" if job.result.test_score is None else f"{_number(job.result.test_score)} {_SHORT.get(metric, metric)}"


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


def table(*columns: str) -> Table:
    """An empty table; columns of words are set left, all others right."""
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        drawn.add_column(cell(name), justify="left" if name in _WORDS else "right", no_wrap=True)
    return drawn


def cell(text: str, style: str = "") -> Text:
    """Text of the service as text: no markup, no control code."""
    return Text(clean(text), style=style)
