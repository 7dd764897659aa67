"""Tables of experiments and comparisons, drawn as `tables` draws those of jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table

from gblend_client.cli.tables import STATUS_STYLES, cell, moment, table
from gblend_client.experiment_types import Comparison, Difference, Experiment, Spread

SHARES = frozenset({"accuracy", "balanced_accuracy", "macro_f1", "f1", "auc", "map", "mean_average_precision"})
"""Metrics between 0 and 1 that people read in percent."""


def live(experiment: Experiment, found: Comparison | None) -> RenderableType:
    """The picture that `compare` redraws."""
    total = max(sum(experiment.counts.values()), 1)
    shares = [
        100.0 if job.status in ("succeeded", "failed", "cancelled") else job.percent or 0.0 for job in experiment.jobs
    ]
    percent = sum(shares) / total
    states = ", ".join(f"{count} {status}" for status, count in experiment.counts.items() if count)
    headline = cell(f"{experiment.id}  {experiment.status}  {states}", STATUS_STYLES.get(experiment.status, ""))
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total=100, completed=percent, width=40), cell(f"{percent:3.0f} %"))
    parts: list[RenderableType] = [headline, row]
    if found is not None:
        parts.append(comparison_table(found))
    return Group(*parts)


def comparison_table(found: Comparison) -> Table:
    """A row per strategy: the test metric over the seeds that are done, what it cost, which head answered."""
    drawn = table("strategy", "seeds", _heading(found.metric), "95 % interval", "seconds", "answered by", "weights")
    for row in found.strategies:
        cost = row.cost or {}
        is_best = row.strategy == found.best
        drawn.add_row(
            cell(row.strategy, "bold green" if is_best else "bold"),
            cell(f"{row.done}/{row.planned}"),
            cell(_spread(row.test, found.metric)),
            cell(_interval(row.test.ci_low, row.test.ci_high, found.metric)),
            cell("" if "seconds" not in cost else f"{cost['seconds']:.3g}"),
            cell(", ".join(f"{head} ({count})" for head, count in row.answers.items())),
            cell(", ".join(f"{head} {weight:.2f}" for head, weight in row.weights.items())),
        )
    return drawn


def differences_table(differences: Sequence[Difference], metric: str) -> Table:
    """Paired differences to one strategy."""
    minus = differences[0].minus
    drawn = table("strategy", f"minus {minus}", "95 % interval", "pairs")
    for row in differences:
        drawn.add_row(
            cell(row.strategy, "bold"),
            cell(_number(row.mean, metric, signed=True)),
            cell(_interval(row.ci_low, row.ci_high, metric, signed=True)),
            cell(str(row.pairs)),
        )
    return drawn


def experiments_table(experiments: Iterable[Experiment]) -> Table:
    """A row per experiment."""
    drawn = table("experiment", "status", "jobs", "done", "created", "name")
    for experiment in experiments:
        drawn.add_row(
            cell(experiment.id),
            cell(experiment.status, STATUS_STYLES.get(experiment.status, "")),
            cell(str(sum(experiment.counts.values()))),
            cell(str(experiment.counts.get("succeeded", 0))),
            cell(moment(experiment.created_at) or ""),
            cell(experiment.name or ""),
        )
    return drawn


def _heading(metric: str) -> str:
    words = metric.replace("_", " ")
    return f"test {words}, %" if metric.lower() in SHARES else f"test {words}"


def _spread(found: Spread, metric: str) -> str:
    mean = _number(found.mean, metric)
    return mean if found.sd is None else f"{mean} ± {_number(found.sd, metric)}"


def _interval(low: float | None, high: float | None, metric: str, *, signed: bool = False) -> str:
    if low is None or high is None:
        return ""
    return f"{_number(low, metric, signed=signed)} to {_number(high, metric, signed=signed)}"


def _number(value: float | None, metric: str, *, signed: bool = False) -> str:
    if value is None:
        return ""
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.1f}" if metric.lower() in SHARES else f"{value:{sign}.4f}"
