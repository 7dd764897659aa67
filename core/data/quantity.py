"""The target of a regression: a number per row."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.problems import RowProblem
from core.data.split import Codes
from core.data.table import Column, Mask, Rows
from core.errors import Issue
from core.spec.data import Target

LARGEST = 1e150
"""Beyond it a square is no finite number any more."""
_BINS, _ROWS_PER_BIN = 10, 10
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"


@dataclass(frozen=True, slots=True)
class TargetScale:
    """What the target is standardised with: `z = (y - mean) / scale`, fitted on T alone."""

    mean: float
    scale: float


@dataclass(frozen=True, slots=True)
class Quantity:
    """`values` [N] in the target's own unit."""

    values: NDArray[np.float64]
    classes: tuple[str, ...] = ()
    """A number has none."""

    def counts(self, rows: Rows | Mask | None = None) -> Codes:
        """There are no classes to count."""
        return np.empty(0, dtype=np.int64)

    def strata(self, rows: Rows) -> tuple[Codes, tuple[str, ...]]:
        """Each row's bin: up to ten of equally many rows, at least ten rows each, equal numbers in one bin.

        So each part holds low and high numbers in the same proportions, which R^2 (relative to the part's own
        variance) and V (which must look like T) need most where there are few rows.
        """
        values = self.values[rows]
        bins = max(1, min(_BINS, len(values) // _ROWS_PER_BIN))
        edges = np.sort(values)[[len(values) * k // bins for k in range(1, bins)]]
        present, codes = np.unique(np.searchsorted(edges, values, side="right"), return_inverse=True)
        return codes.astype(np.int64), tuple(f"bin {index + 1}" for index in present.tolist())

    def is_constant(self, rows: Rows) -> bool:
        """Whether these rows (at least one) all have the same number, as far as can be computed with."""
        values = self.values[rows]
        return bool(values.max() == values.min() or values.std() == 0.0)

    def fit(self, rows: Rows) -> TargetScale:
        """Mean and standard deviation of these rows, which are not constant."""
        values = self.values[rows]
        return TargetScale(mean=float(values.mean()), scale=float(values.std()))


def quantity_problems(column: Column) -> list[RowProblem]:
    """Rows whose target is missing, no number, or a number that cannot be computed with."""
    numbers, unreadable = column.numbers()
    found = []
    for row in np.flatnonzero(unreadable | ~(np.abs(numbers) <= LARGEST)).tolist():
        if column.missing[row]:
            found.append(RowProblem(row, "target.missing", "there is no number (empty, null or NaN)"))
        elif unreadable[row]:
            text = str(column.values[row])
            meant = nearest_number(text)
            way_out = "" if meant is None else f"; did you mean {meant}?"
            found.append(RowProblem(row, "target.not_a_number", f"{_shown(text)} is no number{way_out}"))
        else:
            what = "is too large to be squared" if np.isfinite(numbers[row]) else "is not finite"
            found.append(RowProblem(row, "target.not_finite", f"{numbers[row]} {what}"))
    return found


def read_quantity(column: Column) -> Quantity:
    """The numbers of a column whose rows all have a target."""
    return Quantity(column.numbers()[0])


def quantity_issues(quantity: Quantity, target: Target, pointer: str) -> list[Issue]:
    """What the numbers alone show. `pointer` is the target's."""
    rows = np.arange(len(quantity.values), dtype=np.int64)
    if not len(rows) or quantity.is_constant(rows):
        return [constant_issue(quantity, target, "", pointer)]
    if len(different := np.unique(quantity.values)) == 2:
        return [
            Issue(
                code="target.two_values",
                severity="warning",
                detail=f"the target {target.column!r} has only two values: it looks like a class",
                pointer=f"{pointer}/type",
                hint='to predict one of two classes set target.type to "binary"',
                examples=tuple(map(repr, different.tolist())),
            )
        ]
    return []


def constant_issue(quantity: Quantity, target: Target, where: str, pointer: str) -> Issue:
    """The target does not vary (`where`: " in T" or ""); `quantity` is not constant otherwise, or has no row."""
    if not len(quantity.values):
        return Issue(
            code="target.constant", detail=f"no row has a number in {target.column!r}", pointer=f"{pointer}/column"
        )
    return Issue(
        code="target.constant",
        detail=f"the target {target.column!r} is the same number in every row{where}: there is nothing to learn",
        pointer=f"{pointer}/column",
        hint="is it the right column?" if not where else "take another holdout.seed or fraction, or another split",
    )


def nearest_number(text: str) -> str | None:
    """The number that a text most likely means: a decimal comma, blanks between digits, or a unit behind it."""
    plain = re.sub(r"(?<=\d)[\s_'\u00a0\u202f](?=\d)", "", text.strip())
    if re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+,\d+", plain) or re.fullmatch(r"[+-]?\d+,\d+", plain):
        plain = plain.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+\.\d+", plain):
        plain = plain.replace(",", "")
    found = re.match(rf"({_NUMBER})\s*[^\d\s.,;:/-]{{0,12}}$", plain)
    return found.group(1) if found else None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
