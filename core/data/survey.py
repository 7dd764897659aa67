"""The first look at a data set, shared by validation (API) and preparation (worker): headers, columns, rows in use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from core.data.absence import masked_rows, rows_without_any
from core.data.assessment import given_parts
from core.data.problems import EXAMPLES, RowProblem, RowProblems
from core.data.references import Reference, header_issue, modality_references, references, schema_issues, shape_issue
from core.data.sources import Limits, Source, open_source
from core.data.split import PART_COLUMN, UNUSED, Parts
from core.data.table import Column, ColumnHeader, Mask, RowNames, Rows, Table
from core.data.targets import target_problems
from core.errors import GblendError, Issue, Severity
from core.spec.data import ColumnSplit, DatasetSpec, Holdout, OnBadSample


@dataclass(slots=True)
class Survey:
    """What a data set's headers and scalar columns show.

    `table` holds the rows in use (all that the split column does not leave out) of every column that is there and of
    the right kind; `rows` are their numbers in the source. `usable` names the modalities all of whose columns it has.
    `absent` says which of its rows lack a modality that may be missing (all that are usable and have been loaded).
    """

    issues: list[Issue]
    source: Source | None = None
    table: Table | None = None
    rows: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    sample_ids: Sequence[str] = ()
    usable: frozenset[str] = frozenset()
    absent: dict[str, Mask] = field(default_factory=dict)
    problems: RowProblems = field(default_factory=RowProblems)
    ruling: frozenset[str] = frozenset()
    """The columns outside of the modalities: target, ids, split, groups."""

    def tell(self, modality: str, pointer: str, problems: Iterable[RowProblem]) -> None:
        """Keep the problems of a modality's rows; that one has nothing is none where it may be missing."""
        absent = self.absent.get(modality)
        kept = problems if absent is None else [problem for problem in problems if not absent[problem.row]]
        self.problems.add(pointer, f"modality {modality!r}", kept)

    def present(self, modality: str, rows: Rows) -> Rows:
        """Those of these rows that have the modality."""
        absent = self.absent.get(modality)
        return rows if absent is None else rows[~absent[rows]]

    def sample(self, row: int) -> str:
        """How a row of `table` is called in messages."""
        return self.sample_ids[row]

    def ruling_table(self, rows: Rows) -> Table:
        """What labels, split and V are made from: these rows of the few columns that it takes."""
        assert self.table is not None
        columns = {name: column for name, column in self.table.columns.items() if name in self.ruling}
        return Table(columns, self.table.rows, self.table.id_column).take(rows)


def take_survey(
    spec: DatasetSpec,
    holdout: Holdout,
    roots: Mapping[str, Path],
    *,
    arrays: bool,
    pointer: str,
    holdout_pointer: str,
    limits: Limits | None = None,
) -> Survey:
    """Open the source, check every column that the spec names, read the rows. Never raises for bad data.

    With `arrays` False, columns that the source calls costly (lists, arrays, media in cells; but for the target) are
    judged by their headers alone and not loaded.
    """
    survey = Survey(schema_issues(spec, pointer))
    mentions = references(spec, holdout, pointer, holdout_pointer)
    wanted = {mention.column for mention in mentions}
    try:
        source = open_source(
            spec.source,
            roots,
            wanted=wanted,
            limits=limits,
            split=spec.split,
            pointer=f"{pointer}/source",
            split_pointer=f"{pointer}/split",
        )
        good = _check_headers(survey, spec, mentions, source, pointer)
        load = {name for name in good if arrays or name not in source.costly or name == spec.target.column}
        table = source.read(sorted(load if source.id_column is None else load | {source.id_column}))
    except GblendError as error:
        survey.issues += [replace(issue, pointer=issue.pointer or f"{pointer}/source/uri") for issue in error.issues]
        return survey
    except OSError as error:  # gone, or a failing disk, since it was opened
        detail = f"the source cannot be read any more: {error.strerror or 'input/output error'}"
        hint = "try again; if it stays so, the disk or the file system fails"
        survey.issues.append(Issue(code="source.unreadable", detail=detail, pointer=f"{pointer}/source/uri", hint=hint))
        return survey
    survey.source = source
    survey.usable = _usable(spec, good)
    outside = {mention.column for mention in mentions if mention.modality is None}
    survey.ruling = frozenset(outside | {PART_COLUMN, source.id_column or PART_COLUMN})
    _choose_rows(survey, table, spec, pointer)
    assert survey.table is not None
    survey.absent = masked_rows((each for each in spec.modalities if each.name in survey.usable), survey.table)
    survey.problems.add(f"{pointer}/modalities", "the modalities", rows_without_any(spec.modalities, survey.absent))
    return survey


def judge(survey: Survey, on_bad: OnBadSample, pointer: str, *, complete: bool = True) -> tuple[list[Issue], Rows]:
    """The row problems as issues, and the rows (of `survey.table`) that stay.

    Problems are warnings where `on_bad_sample` lets their rows be dropped, errors otherwise. Rows without a label
    never stay. `complete` False: only a sample of the files was looked at, and there may be more.
    """
    assert survey.table is not None
    total, bad = survey.table.rows, len(survey.problems.rows)
    dropping = on_bad.action == "drop"
    too_many = dropping and bad > on_bad.max_fraction * total + 1e-9
    severity: Severity = "warning" if dropping and not too_many else "error"
    issues = survey.problems.issues(survey.sample, severity)
    if too_many:
        issues.append(
            Issue(
                code="data.too_many_bad_samples",
                detail=f"{bad} of {total} rows cannot be used{'' if complete else ' (of those looked at)'}; "
                f"at most {on_bad.max_fraction:.1%} may be dropped",
                pointer=f"{pointer}/on_bad_sample/max_fraction",
                count=bad,
            )
        )
    out = survey.problems.rows if dropping else survey.problems.without_label
    keep = np.ones(total, dtype=np.bool_)
    keep[sorted(out)] = False
    return issues, np.flatnonzero(keep).astype(np.int64)


def _check_headers(
    survey: Survey, spec: DatasetSpec, mentions: list[Reference], source: Source, pointer: str
) -> set[str]:
    """Names of the columns that are there and of the right kind everywhere they are mentioned."""
    wrong: set[str] = set()
    for mention in mentions:
        issue = header_issue(mention, source.headers)
        if issue is not None:
            survey.issues.append(issue)
            wrong.add(mention.column)
    for index, modality in enumerate(spec.modalities):
        for mention in modality_references(modality, f"{pointer}/modalities/{index}"):
            if mention.role in ("series", "vector") and mention.column not in wrong:
                issue = shape_issue(modality, source.headers[mention.column], mention.pointer)
                if issue is not None:
                    survey.issues.append(issue)
                    wrong.add(mention.column)
    return {mention.column for mention in mentions} - wrong


def _usable(spec: DatasetSpec, good: set[str]) -> frozenset[str]:
    return frozenset(
        modality.name
        for modality in spec.modalities
        if all(mention.column in good for mention in modality_references(modality, ""))
    )


def _with_parts(table: Table, parts: Parts) -> Table:
    """The table with one more column: the part of each row, as the source gives it."""
    column = Column(ColumnHeader("number", "int8"), parts, np.zeros(table.rows, dtype=np.bool_))
    return replace(table, columns={**table.columns, PART_COLUMN: column})


def _choose_rows(survey: Survey, table: Table, spec: DatasetSpec, pointer: str) -> None:
    survey.rows = np.arange(table.rows, dtype=np.int64)
    if survey.source is not None and survey.source.parts is not None:
        table = _with_parts(table, survey.source.parts)
    if isinstance(spec.split, ColumnSplit) and spec.split.column in table.columns:
        column = table.columns[spec.split.column]
        unused = given_parts(column, spec.split) == UNUSED
        if unused.any() and not unused.all():
            texts = column.text()
            values = sorted({texts[row] for row in np.flatnonzero(unused).tolist()})
            survey.issues.append(
                Issue(
                    code="split.unused_rows",
                    severity="warning",
                    detail=f"{int(unused.sum())} rows belong to no part of {spec.split.column!r}, and are left out",
                    pointer=f"{pointer}/split/values",
                    hint="say which part their values mean, if they should be used",
                    count=int(unused.sum()),
                    examples=tuple(map(repr, values[:EXAMPLES])),
                )
            )
            survey.rows = np.flatnonzero(~unused).astype(np.int64)
            table = table.take(survey.rows)
    survey.table = table
    named = spec.sample_id or table.id_column
    survey.sample_ids = RowNames(survey.rows, table.columns.get(named) if named is not None else None)
    if spec.target.column in table.columns:
        column = table.columns[spec.target.column]
        survey.problems.add(f"{pointer}/target/column", "the target", target_problems(column, spec.target))
