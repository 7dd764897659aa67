"""`gblend compare`: an experiment from a job spec, its progress, its table at the end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.live import Live

from gblend_client.cli import output, tables_of_experiments
from gblend_client.cli.output import Output
from gblend_client.client import Gblend
from gblend_client.errors import InvalidInput
from gblend_client.experiment_types import Comparison, Experiment
from gblend_client.specfile import with_changes

UNIMODAL = "unimodal:"
JOINT = ("naive", "equal", "offline", "online")
_EXPERIMENT_ID = re.compile(r"exp_[A-Za-z0-9]+")
_FORMATS: dict[str, Literal["html", "md"]] = {".html": "html", ".htm": "html", ".md": "md", ".markdown": "md"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asks of the experiment."""

    strategies: Sequence[str] = ()
    seeds: int | None = None
    changes: Sequence[str] = ()
    name: str | None = None

    @property
    def is_anything(self) -> bool:
        """Whether it asks for anything at all."""
        return bool(self.strategies or self.seeds is not None or self.changes or self.name)


@dataclass(slots=True)
class _Watched:
    """What a live table is drawn from."""

    experiment: Experiment
    comparison: Comparison | None = None
    done: int = field(default=0)


def is_experiment_id(text: str) -> bool:
    """Whether the argument SPEC names an experiment that is there already."""
    return _EXPERIMENT_ID.fullmatch(text) is not None and not Path(text).exists()


def experiment_of(spec: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """The body of `POST /v1/experiments`: of an experiment's spec (it has `strategies`), or of a job's.

    Raises `InvalidInput` where the modalities cannot be told and no strategy is named.
    """
    changed = with_changes(spec, wanted.changes)
    if "strategies" in changed:
        body = dict(changed)
        if wanted.strategies:
            body["strategies"] = [_chosen(changed["strategies"], name) for name in wanted.strategies]
    else:
        body = {"job": changed, "strategies": list(wanted.strategies or _all_strategies(changed))}
        if isinstance(changed.get("name"), str):
            body["name"] = changed["name"]
    if wanted.seeds is not None:
        body["seeds"] = list(range(wanted.seeds))
    if wanted.name is not None:
        body["name"] = wanted.name
    return body


def report_format(path: Path) -> Literal["html", "md"]:
    """What the file's ending asks for; `InvalidInput` for another one."""
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise InvalidInput(f"{path}: a report is .html or .md", hint="name the file accordingly")
    return found


def follow_experiment(
    gblend: Gblend, out: Output, experiment_id: str, *, reference: str | None, report: Path | None
) -> int:
    """Follows an experiment to its end, writes the report, prints the table; the exit code.

    Ctrl-C stops the watching, never the jobs.
    """
    try:
        experiment = _watch(gblend, out, experiment_id, reference)
    except KeyboardInterrupt:
        out.note(f"stopped watching; the jobs go on. Compare later: gblend compare {experiment_id}")
        out.note(f"Stop them: gblend cancel {experiment_id}")
        return output.INTERRUPTED
    found = gblend.experiments.comparison(experiment_id, reference=reference)
    if report is not None:
        text = gblend.experiments.report(experiment_id, format=report_format(report), reference=reference)
        _write(report, text)
    _print_end(out, experiment, found)
    if report is not None and not out.as_json:
        out.line(f"report: {report}")
    return output.OK if experiment.status == "succeeded" else output.JOB_FAILED


def _watch(gblend: Gblend, out: Output, experiment_id: str, reference: str | None) -> Experiment:
    last = gblend.experiments.get(experiment_id)
    state = _Watched(last)
    if out.is_live:
        with Live(
            console=out.out,
            get_renderable=lambda: tables_of_experiments.live(state.experiment, state.comparison),
            refresh_per_second=4,
            transient=True,
        ):
            for last in gblend.experiments.watch(experiment_id):
                state.experiment = last
                done = last.counts.get("succeeded", 0)
                if done > state.done:  # the numbers so far, as soon as there are new ones
                    state.comparison = gblend.experiments.comparison(experiment_id, reference=reference)
                    state.done = done
        return last
    told: dict[str, str] = {}
    for last in gblend.experiments.watch(experiment_id):
        for job in last.jobs if not out.as_json else ():
            if told.get(job.job_id, "queued") != job.status:
                out.line(f"{job.job_id}  {job.strategy}, seed {job.seed}: {job.status}")
            told[job.job_id] = job.status
    return last


def _print_end(out: Output, experiment: Experiment, found: Comparison) -> None:
    if out.as_json:
        out.data(found.raw)
        return
    out.show(tables_of_experiments.comparison_table(found))
    for differences in (found.to_reference, found.to_best if found.best != found.reference else ()):
        if differences:
            out.show(tables_of_experiments.differences_table(differences, found.metric))
    failed = [job for job in experiment.jobs if job.status != "succeeded"]
    for job in failed:
        out.note(f"{job.strategy}, seed {job.seed}: {job.status}; see gblend show {job.job_id}")
    out.line(f"{experiment.id} {experiment.status}")


def _all_strategies(job: Mapping[str, Any]) -> list[str]:
    """Every modality alone, sorted as the service sorts them, then the joint strategies."""
    try:
        names = sorted(str(modality["name"]) for modality in job["dataset"]["modalities"])
    except (KeyError, TypeError):
        raise InvalidInput(
            "the spec names no modalities, so it is not clear which strategies to compare",
            hint="is it a job spec? Strategies can also be named: --strategies naive,online",
        ) from None
    return [*(UNIMODAL + name for name in names), *JOINT]


def _chosen(strategies: Any, name: str) -> Any:
    """The experiment's own strategy of that name; else the name, which may be a well-known one."""
    for strategy in strategies if isinstance(strategies, list) else ():
        if isinstance(strategy, Mapping) and strategy.get("name") == name:
            return strategy
    return name


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror or error}") from error
