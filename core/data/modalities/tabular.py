"""Columns of the table itself: numbers, standardised, and categories, coded; both fitted on the training part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.modalities.base import LARGEST, Floats, Raw, Reading, State, contiguous, moments
from core.data.problems import EXAMPLES, RowProblem
from core.data.table import Column, ColumnHeader, Mask, Rows, text_column
from core.errors import Issue
from core.spec.data import TabularColumn

UNSEEN = 0
"""The code of every category that the training part does not hold; the known ones follow from 1, sorted."""


def read_tabular(columns: Sequence[tuple[TabularColumn, Column]]) -> Reading:
    """An array `[rows, numbers + categories]`: floats first, then texts, each in the order of the spec.

    It holds objects, or where there are numbers alone, float64. A missing number is a problem; a missing category is
    the category of empty text.
    """
    rows = len(columns[0][1].values)
    plain = all(spec.type == "number" for spec, _ in columns)
    raw = np.empty((rows, len(columns)), dtype=np.float64 if plain else object)
    problems: list[RowProblem] = []
    for place, (spec, column) in enumerate(_numbers_first(columns)):
        if spec.type == "category":
            raw[:, place] = _categories(column)
            continue
        values, unreadable = column.numbers()
        raw[:, place] = values
        problems += _bad_numbers(spec.name, column, values, unreadable)
    return Reading(raw, problems)


def fit_tabular(raw: Raw, train: Rows, columns: Sequence[TabularColumn]) -> State:
    """Mean and deviation of every number, vocabulary of every category, from the training rows."""
    numbers = [spec.name for spec in columns if spec.type == "number"]
    categories = [spec.name for spec in columns if spec.type == "category"]
    mean, deviation = moments([raw[train, : len(numbers)].astype(np.float64)])
    vocabularies = [sorted(set(raw[train, len(numbers) + place])) for place in range(len(categories))]
    return {
        "type": "tabular",
        "numbers": numbers,
        "mean": mean.tolist(),
        "std": deviation.tolist(),
        "categories": categories,
        "vocabularies": vocabularies,
    }


def encode_tabular(raw: Raw, state: State) -> Floats:
    """Standardised numbers, then category codes as floats: `[n, numbers + categories]`."""
    numbers = len(state["numbers"])
    out = np.empty(raw.shape, dtype=np.float32)
    if numbers:
        out[:, :numbers] = (raw[:, :numbers].astype(np.float64) - state["mean"]) / state["std"]
    for place, vocabulary in enumerate(state["vocabularies"], start=numbers):
        codes = {value: code for code, value in enumerate(vocabulary, start=UNSEEN + 1)}
        out[:, place] = [codes.get(value, UNSEEN) for value in raw[:, place]]
    return contiguous(out)


def constant_columns(columns: Sequence[TabularColumn], raw: Raw, train: Rows) -> list[Issue]:
    """Warnings for columns with one single value in the training rows; `columns` is the spec's."""
    ordered = sorted(columns, key=lambda spec: spec.type == "category")
    return _constant([spec.name for place, spec in enumerate(ordered) if _never_changes(raw[train, place])])


def constant_in(columns: Sequence[tuple[TabularColumn, Column]], train: Rows) -> list[Issue]:
    """The same of columns that are not decoded yet: one after the other, as there may be a million rows."""
    return _constant(
        [spec.name for spec, column in _numbers_first(columns) if _never_changes(_values(spec, column)[train])]
    )


def _constant(names: list[str]) -> list[Issue]:
    if not names:
        return []
    return [
        Issue(
            code="column.constant",
            severity="warning",
            detail=f"in train, {', '.join(map(repr, names[:EXAMPLES]))} never changes",
            hint="a constant column teaches nothing; leave it out",
            count=len(names),
            examples=tuple(names[:EXAMPLES]),
        )
    ]


def tabular_columns_of(values: Mapping[str, Any], state: State) -> list[tuple[TabularColumn, Column]]:
    """One new sample's cells as columns of one row; cells left out are missing."""
    found: list[tuple[TabularColumn, Column]] = []
    for kind, names in (("number", state["numbers"]), ("category", state["categories"])):
        for name in names:
            value = values.get(name)
            spec = TabularColumn.model_validate({"name": name, "type": kind})
            if value is None or isinstance(value, str):
                found.append((spec, text_column([value or ""])))
                continue
            header = ColumnHeader("boolean" if isinstance(value, bool) else "number", type(value).__name__)
            found.append((spec, Column(header, np.asarray([value]), np.zeros(1, dtype=np.bool_))))
    return found


def _values(spec: TabularColumn, column: Column) -> Raw:
    return _categories(column) if spec.type == "category" else column.numbers()[0]


def _categories(column: Column) -> Raw:
    out = np.empty(len(column.values), dtype=object)
    out[:] = [value.strip() for value in column.text()]
    return out


def _never_changes(values: Raw) -> bool:
    return len(values) > 0 and bool((values == values[0]).all())


def _numbers_first(columns: Sequence[tuple[TabularColumn, Column]]) -> list[tuple[TabularColumn, Column]]:
    return sorted(columns, key=lambda pair: pair[0].type == "category")


def _bad_numbers(name: str, column: Column, values: NDArray[np.float64], unreadable: Mask) -> list[RowProblem]:
    problems: list[RowProblem] = []
    for row in np.flatnonzero(~(np.abs(values) <= LARGEST)):
        if unreadable[row]:
            problems.append(
                RowProblem(int(row), "value.dtype", f"{name!r} is {str(column.values[row])[:40]!r}, no number")
            )
        elif column.missing[row]:
            problems.append(RowProblem(int(row), "value.missing", f"{name!r} is missing"))
        else:
            problems.append(RowProblem(int(row), "value.not_finite", f"{name!r} is {values[row]}"))
    return problems
