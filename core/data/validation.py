"""Tier 2: what the headers, the scalar columns and the existence of files show, in bounded time.

The API runs it when a job is submitted. It opens the source, never a media file, and never raises for bad data: all
that is wrong comes back together, errors and warnings. Contents (tier 3) are `core.data.dataset`'s, in the worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from core.data.absence import absence_issues
from core.data.assessment import Assessment, assess
from core.data.blobs import Blob
from core.data.media import forbidden_issue, locate_files
from core.data.modalities import is_media, read_modality
from core.data.modalities.clips import library_issue
from core.data.modalities.tabular import constant_in
from core.data.pretrained import pretrained_issues
from core.data.problems import RowProblem
from core.data.references import schema_issues
from core.data.sources import Limits
from core.data.split import TRAIN
from core.data.survey import Survey, judge, take_survey
from core.data.table import Rows, Table
from core.data.targets import WEIGHTS_POINTER, weight_issues
from core.errors import DataError, Issue
from core.spec.data import DatasetSpec, Holdout, MediaModality, Modality, TabularModality, VideoModality

_ROWS_AT_ONCE = 65_536

__all__ = ["CheckLimits", "Look", "check", "look_at", "schema_issues"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLimits:
    """What one check may cost."""

    files: int = 20_000
    """Files whose existence is looked up, over all columns; beyond it an even sample of the rows."""
    seconds: float = 10.0
    """After so long no further file of a source is listed, and after as long again none is looked up (a slow network
    file system)."""
    source: Limits = field(default_factory=lambda: Limits(fetched_now=512 * 2**20, fetch_seconds=15.0))
    """Of a source on an object store no more is fetched than that."""


@dataclass(slots=True)
class Look:
    """What a look at a data set has found."""

    survey: Survey
    issues: list[Issue]
    """Errors first."""
    media: dict[str, list[Blob | None]] = field(default_factory=dict)
    """Modality -> the file of each row of the survey's table; None where it is bad or was not looked for."""
    keep: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """The rows of the survey's table that can be used."""
    assessment: Assessment | None = None
    """Of these rows; None where nothing can be said."""


FileProblems = Callable[[Modality, Sequence[Blob | None]], list[RowProblem]]
"""Looks into files as well, at what a modality's rows have (`core.data.inspection`)."""


def check(
    spec: DatasetSpec,
    holdout: Holdout,
    roots: Mapping[str, Path],
    *,
    seed: int = 0,
    pointer: str = "#/dataset",
    holdout_pointer: str = "#/holdout",
    class_weights: Mapping[str, float] | Literal["none", "balanced"] = "none",
    weights_pointer: str = WEIGHTS_POINTER,
    limits: CheckLimits | None = None,
    allow_hub: Sequence[str] = (),
) -> list[Issue]:
    """Everything that is wrong or odd with a data set before its contents are decoded; errors first.

    `seed` is the job's: V is drawn with it where `holdout.seed` is left out. `roots` maps a URI scheme to its folder.
    `class_weights` are those of the loss; their names must be classes. `allow_hub`: models of a hub that may be named.
    """
    limits = limits or CheckLimits()
    look = look_at(
        spec,
        holdout,
        roots,
        seed=seed,
        pointer=pointer,
        holdout_pointer=holdout_pointer,
        limits=limits,
        allow_hub=allow_hub,
    )
    if look.assessment is not None:
        look.issues += weight_issues(look.assessment.labels, class_weights, weights_pointer)
    return _errors_first(look.issues)


def look_at(
    spec: DatasetSpec,
    holdout: Holdout,
    roots: Mapping[str, Path],
    *,
    seed: int,
    pointer: str = "#/dataset",
    holdout_pointer: str = "#/holdout",
    limits: CheckLimits,
    look_into: FileProblems | None = None,
    allow_hub: Sequence[str] = (),
) -> Look:
    """The source's headers and scalar columns, the existence of files, labels, split and V: see `check`.

    `look_into` is given the files of each media modality; what it finds counts like a missing file.
    """
    survey = take_survey(
        spec,
        holdout,
        roots,
        arrays=False,
        pointer=pointer,
        holdout_pointer=holdout_pointer,
        limits=replace(limits.source, deadline=time.monotonic() + limits.seconds),
    )
    look = Look(survey, [*survey.issues, *pretrained_issues(spec, roots, pointer, allow_hub)])
    if survey.table is not None:
        complete = _check_media(look, spec, roots, pointer, limits, look_into)
        _check_tables(survey, spec, pointer)
        found, look.keep = judge(survey, spec.on_bad_sample, pointer, complete=complete)
        look.issues += found
        if spec.target.column in survey.table.columns:
            table = survey.ruling_table(look.keep)
            assessment = assess(table, spec, holdout, seed=seed, pointer=pointer, holdout_pointer=holdout_pointer)
            look.issues += assessment.issues
            look.issues += _constants(survey, spec, assessment, look.keep, pointer)
            absent = {name: mask[look.keep] for name, mask in survey.absent.items()}
            look.issues += absence_issues(spec.modalities, absent, assessment, pointer)
            look.assessment = assessment
    look.issues = _errors_first(look.issues)
    return look


def _errors_first(issues: list[Issue]) -> list[Issue]:
    return sorted(issues, key=lambda issue: issue.severity != "error")


def _check_media(
    look: Look,
    spec: DatasetSpec,
    roots: Mapping[str, Path],
    pointer: str,
    limits: CheckLimits,
    look_into: FileProblems | None,
) -> bool:
    """Look for the files of every media column. Returns whether every file was looked for."""
    survey = look.survey
    media = [(index, modality) for index, modality in enumerate(spec.modalities) if _has_files(modality, survey)]
    deadline = time.monotonic() + limits.seconds
    complete = True
    for index, modality in media:
        assert isinstance(modality, MediaModality)
        assert survey.table is not None
        assert survey.source is not None
        cells = survey.table.columns[modality.column].cells()
        where = f"{pointer}/modalities/{index}/column"
        try:
            located = locate_files(
                cells, survey.source.base, roots, most=max(1, limits.files // len(media)), deadline=deadline
            )
        except DataError as error:  # an object store that refuses, or is away
            look.issues += [replace(issue, pointer=where) for issue in error.issues]
            complete = False
            continue
        issue = forbidden_issue(located, cells, survey.sample_ids, where)
        if issue is not None:
            look.issues.append(issue)
        problems = located.problems
        if look_into is not None:
            problems = sorted([*problems, *look_into(modality, located.blobs)], key=lambda problem: problem.row)
        survey.tell(modality.name, where, problems)
        if isinstance(modality, VideoModality) and (library := library_issue()) is not None:
            look.issues.append(replace(library, pointer=f"{pointer}/modalities/{index}/type"))
        look.media[modality.name] = located.blobs
        complete = complete and located.complete
    return complete


def _has_files(modality: Modality, survey: Survey) -> bool:
    assert survey.table is not None
    loaded = not isinstance(modality, TabularModality) and modality.column in survey.table.columns
    return is_media(modality) and loaded and modality.name in survey.usable


def _tables(survey: Survey, spec: DatasetSpec, pointer: str) -> Iterator[tuple[TabularModality, str]]:
    """The tabular modalities that can be read, and where their columns are named."""
    for index, modality in enumerate(spec.modalities):
        if isinstance(modality, TabularModality) and modality.name in survey.usable:
            yield modality, f"{pointer}/modalities/{index}/columns"


def _check_tables(survey: Survey, spec: DatasetSpec, pointer: str) -> None:
    """Some rows at a time: all of them, decoded, would take several times what their columns take."""
    assert survey.table is not None
    for modality, where in _tables(survey, spec, pointer):
        columns = {column.name: survey.table.columns[column.name] for column in modality.columns}
        for start in range(0, survey.table.rows, _ROWS_AT_ONCE):
            rows = np.arange(start, min(start + _ROWS_AT_ONCE, survey.table.rows), dtype=np.int64)
            part = Table({name: column.take(rows) for name, column in columns.items()}, len(rows))
            found = [replace(problem, row=start + problem.row) for problem in read_modality(modality, part).problems]
            survey.tell(modality.name, where, found)


def _constants(survey: Survey, spec: DatasetSpec, assessment: Assessment, keep: Rows, pointer: str) -> list[Issue]:
    assert survey.table is not None
    if assessment.parts is None:
        return []
    train = keep[assessment.parts == TRAIN]
    return [
        replace(issue, pointer=where)
        for modality, where in _tables(survey, spec, pointer)
        for issue in constant_in(
            [(column, survey.table.columns[column.name]) for column in modality.columns],
            survey.present(modality.name, train),
        )
    ]
