"""The target column: classes, codes, and what is odd about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.problems import EXAMPLES, RowProblem
from core.data.split import Codes
from core.data.table import Column, Mask, Rows
from core.data.uris import escaped
from core.errors import Issue
from core.spec.data import Target

IMBALANCE = 100.0
LONGEST_NAME = 500
"""Of a class, in characters."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Exclusive classes: `codes` [N] index `classes`. Integers are sorted as numbers, anything else as text."""

    classes: tuple[str, ...]
    codes: Codes

    def counts(self, rows: Rows | Mask | None = None) -> Codes:
        """Rows per class, of all rows or of some."""
        codes = self.codes if rows is None else self.codes[rows]
        return np.bincount(codes, minlength=len(self.classes)).astype(np.int64)

    def strata(self, rows: Rows) -> tuple[Codes, tuple[str, ...]]:
        """Each row's stratum, its class, and the strata's names."""
        return self.codes[rows], self.classes


def missing_labels(column: Column) -> list[RowProblem]:
    """Rows without a label."""
    return [RowProblem(int(row), "target.missing", "there is no label") for row in np.flatnonzero(column.missing)]


def unusable_names(column: Column, separator: str | None) -> list[RowProblem]:
    """Rows whose label (with a separator: one of whose labels) cannot be the name of a class."""
    if column.header.kind not in ("text", "texts"):
        return []
    found: list[RowProblem] = []
    for row, cell in enumerate(column.values):
        names = cell if isinstance(cell, tuple) else cell.split(separator) if separator is not None else (cell,)
        for name in names:
            if len(name) > LONGEST_NAME or "\0" in name:
                what = "holds a NUL" if "\0" in name else f"has {len(name)} characters"
                found.append(RowProblem(row, "target.unusable_name", f"the label {escaped(name)} {what}"))
                break
    return found


def read_labels(column: Column) -> Labels:
    """Classes and codes of a column in which no label is missing."""
    texts = column.text()
    classes = in_order(set(texts))
    order = {text: code for code, text in enumerate(classes)}
    codes = np.fromiter((order[text] for text in texts), dtype=np.int64, count=len(texts))
    return Labels(classes, codes)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Class names as numbers where all are integers, as text otherwise."""
    classes = sorted(names)
    if all(_is_integer(text) for text in classes):
        classes.sort(key=lambda text: (int(text), text))
    return tuple(classes)


def label_issues(column: Column, labels: Labels, target: Target, pointer: str) -> list[Issue]:
    """What the labels alone show. `pointer` is the target's."""
    issues: list[Issue] = []
    where = f"{pointer}/column"
    if column.header.kind == "number" and not _whole(column.values):
        issues.append(
            Issue(
                code="target.dtype",
                detail=f"the target {target.column!r} holds numbers that are not whole: it looks like a regression",
                pointer=where,
                hint='classes are texts or whole numbers; to predict the number set target.type to "regression"',
                examples=tuple(labels.classes[:EXAMPLES]),
            )
        )
    if len(labels.classes) < 2:
        only = f"the only class is {labels.classes[0]!r}" if labels.classes else "there is no class"
        issues.append(
            Issue(
                code="target.one_class",
                detail=f"the target {target.column!r} needs at least two classes; {only}",
                pointer=where,
                examples=labels.classes,
            )
        )
    elif target.type == "binary" and len(labels.classes) != 2:
        issues.append(
            Issue(
                code="target.not_binary",
                detail=f"the target is binary, but {target.column!r} has {len(labels.classes)} classes",
                pointer=f"{pointer}/type",
                hint='set the type to "multiclass"',
                count=len(labels.classes),
                examples=labels.classes[:EXAMPLES],
            )
        )
    return [*issues, *near_duplicates(labels.classes, where)]


def near_duplicates(classes: Sequence[str], pointer: str) -> list[Issue]:
    """A warning where names of classes differ only by case or blanks."""
    alike = _near_duplicates(classes)
    if not alike:
        return []
    return [
        Issue(
            code="target.near_duplicates",
            severity="warning",
            detail="some labels differ only by case or blanks, and count as different classes",
            pointer=pointer,
            hint="give every class one spelling",
            count=len(alike),
            examples=tuple(" / ".join(map(repr, group)) for group in alike[:EXAMPLES]),
        )
    ]


def imbalance_issue(classes: Sequence[str], counts: Codes, pointer: str) -> Issue | None:
    """A warning where the largest class of the training rows has over 100 times the rows of the smallest."""
    present = [(int(count), name) for count, name in zip(counts, classes, strict=True) if count > 0]
    if not present or max(present)[0] <= IMBALANCE * min(present)[0]:
        return None
    (many, largest), (few, smallest) = max(present), min(present)
    return Issue(
        code="target.imbalanced",
        severity="warning",
        detail=f"in train, class {largest!r} has {many} rows and class {smallest!r} has {few}",
        pointer=f"{pointer}/column",
        hint="accuracy says little here; look at the losses and at each class",
    )


def _near_duplicates(classes: Sequence[str]) -> list[tuple[str, ...]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        groups["".join(name.split()).casefold()].append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _whole(values: NDArray[Any]) -> bool:
    return bool((np.isfinite(values) & (values == np.floor(values))).all())


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isascii() and text.removeprefix("-").isdigit()
