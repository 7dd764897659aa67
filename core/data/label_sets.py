"""The target of a multilabel job: any number of labels per row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.labels import in_order, near_duplicates
from core.data.problems import EXAMPLES, RowProblem
from core.data.split import Codes
from core.data.table import Column, Mask, Rows, label_text
from core.errors import Issue
from core.spec.data import Target

SEPARATOR = ";"
_OTHER_SEPARATORS = (";", ",", "|")


@dataclass(frozen=True, slots=True)
class LabelSets:
    """`members` [N, K] says which of the K `classes` a row has."""

    classes: tuple[str, ...]
    members: NDArray[np.bool_]
    never: tuple[str, ...] = ()
    """Columns of an array that are 0 in every row: they are no classes."""

    def counts(self, rows: Rows | Mask | None = None) -> Codes:
        """Rows per class, of all rows or of some."""
        members = self.members if rows is None else self.members[rows]
        return np.asarray(members.sum(axis=0), dtype=np.int64)

    def strata(self, rows: Rows) -> tuple[Codes, tuple[str, ...]]:
        """Each row's stratum, its rarest label among these rows (the first of equally rare ones), and their names.

        Rows without a label are a stratum of their own. That spreads rare labels over the parts, which is what matters,
        where strata of whole label sets would mostly have a single row.
        """
        if not self.classes:
            return np.zeros(len(rows), dtype=np.int64), ("(no label)",)
        members = self.members[rows]
        order = np.argsort(members.sum(axis=0), kind="stable")
        rarest = np.where(members.any(axis=1), order[members[:, order].argmax(axis=1)], len(self.classes))
        present, codes = np.unique(rarest, return_inverse=True)
        names = (*self.classes, "(no label)")
        return codes.astype(np.int64), tuple(names[index] for index in present.tolist())


def label_set_problems(column: Column) -> list[RowProblem]:
    """Rows without a target, and rows of an array that are not made of 0 and 1."""
    missing = "there is no label; an empty list, or a separator alone, says that none applies"
    found = [RowProblem(int(row), "target.missing", missing) for row in np.flatnonzero(column.missing)]
    if column.header.kind != "array":
        return found
    for row in np.flatnonzero(~column.missing).tolist():
        values = np.asarray(column.values[row])
        if values.ndim != 1 or not _are_labels(values, column):
            detail = f"{_shown(values)} is no row of 0 and 1"
            if column.header.shape is None:
                detail = f"{_shown(values)} is no list of whole numbers, each once"
            found.append(RowProblem(row, "target.not_zero_or_one", detail))
    return found


def read_label_sets(column: Column, target: Target) -> LabelSets:
    """Classes and members of a column whose rows all have a target."""
    if column.header.kind == "array" and column.header.shape is not None:
        # An npz array [N, K] is the members themselves; its labels are called by their column's number.
        members = np.asarray(column.values).reshape(len(column.values), column.header.shape[0]) != 0
        there = members.any(axis=0)
        names = [str(index) for index in range(members.shape[1])]
        return LabelSets(
            tuple(name for name, some in zip(names, there, strict=True) if some),
            members[:, there],
            tuple(name for name, some in zip(names, there, strict=True) if not some),
        )
    sets = [_cleaned(texts) for texts in _texts(column, target)]
    classes = in_order({name for names in sets for name in names})
    place = {name: index for index, name in enumerate(classes)}
    members = np.zeros((len(sets), len(classes)), dtype=np.bool_)
    for row, labels in enumerate(sets):
        members[row, [place[label] for label in labels]] = True
    return LabelSets(classes, members)


def label_set_issues(column: Column, labels: LabelSets, target: Target, pointer: str) -> list[Issue]:
    """What the label sets alone show. `pointer` is the target's."""
    where = f"{pointer}/column"
    issues: list[Issue] = []
    if not labels.classes:
        detail = f"no row of the target {target.column!r} has a label"
        issues.append(Issue(code="target.one_class", detail=detail, pointer=where))
    elif labels.members.all():
        detail = f"every row of the target {target.column!r} has the same labels: there is nothing to learn"
        issues.append(Issue(code="target.constant", detail=detail, pointer=where, examples=labels.classes[:EXAMPLES]))
    if labels.never:
        issues.append(
            Issue(
                code="target.label_never",
                severity="warning",
                detail=f"{len(labels.never)} columns of {target.column!r} are 0 in every row, and are left out",
                pointer=where,
                count=len(labels.never),
                examples=labels.never[:EXAMPLES],
            )
        )
    issues += _separator_issue(column, target, pointer)
    return [*issues, *near_duplicates(labels.classes, where)]


def _separator_issue(column: Column, target: Target, pointer: str) -> list[Issue]:
    if column.header.kind != "text":
        return []
    texts, given = column.text(), target.separator or SEPARATOR
    if any(given in text for text in texts):
        return []
    other = next((mark for mark in _OTHER_SEPARATORS if mark != given and any(mark in text for text in texts)), None)
    return [
        Issue(
            code="target.separator",
            severity="warning",
            detail=f"no cell of {target.column!r} holds the separator {given!r}: every row has a single label",
            pointer=f"{pointer}/separator",
            hint=f"did you mean {other!r}?" if other else 'for exclusive classes set target.type to "multiclass"',
        )
    ]


def _texts(column: Column, target: Target) -> list[list[str]]:
    """The labels of each row as they were written."""
    if column.header.kind == "texts":
        return [list(texts) for texts in column.values]
    if column.header.kind == "array":
        return [[label_text(value) for value in values] for values in column.values]
    if column.header.kind != "text":
        return [[text] for text in column.text()]
    separator = target.separator or SEPARATOR
    return [text.split(separator) for text in column.text()]


def _cleaned(texts: list[str]) -> set[str]:
    return {text.strip() for text in texts} - {""}


def _are_labels(values: NDArray[np.generic], column: Column) -> bool:
    numbers = values.astype(np.float64)
    if column.header.shape is not None:
        return bool(np.isin(numbers, (0.0, 1.0)).all())
    whole = np.isfinite(numbers) & (numbers == np.floor(numbers))
    return bool(whole.all()) and len(np.unique(numbers)) == len(numbers)


def _shown(values: NDArray[np.generic]) -> str:
    return f"[{', '.join(label_text(value) for value in values.reshape(-1)[:6])}{', ...' if values.size > 6 else ''}]"
