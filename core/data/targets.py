"""The target column by its type: exclusive classes, sets of labels, or a number. One interface for split and V."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Literal, Protocol

from core.data.label_sets import SEPARATOR, LabelSets, label_set_issues, label_set_problems, read_label_sets
from core.data.labels import Labels, label_issues, missing_labels, read_labels, unusable_names
from core.data.problems import EXAMPLES, RowProblem
from core.data.quantity import Quantity, quantity_issues, quantity_problems, read_quantity
from core.data.split import Codes
from core.data.table import Column, Mask, Rows
from core.errors import Issue
from core.spec.data import Target

__all__ = [
    "LabelSets",
    "Labels",
    "Quantity",
    "Targets",
    "read_target",
    "target_issues",
    "target_problems",
    "weight_issues",
]


WEIGHTS_POINTER = "#/training/loss/class_weights"
"""The weights of the loss, the one thing outside the data set that names classes."""


class Targets(Protocol):
    """What the split needs to know of a target, whatever its type."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; none for a number."""

    def counts(self, rows: Rows | Mask | None = None) -> Codes:
        """Rows per class, of all rows or of some."""

    def strata(self, rows: Rows) -> tuple[Codes, tuple[str, ...]]:
        """Each row's stratum, codes from 0, and the strata's names."""


def target_problems(column: Column, target: Target) -> list[RowProblem]:
    """The rows whose target cannot be used."""
    if target.type == "regression":
        return quantity_problems(column)
    if target.type == "multilabel":
        return [*label_set_problems(column), *unusable_names(column, target.separator or SEPARATOR)]
    return [*missing_labels(column), *unusable_names(column, None)]


def read_target(column: Column, target: Target) -> Targets:
    """The targets of a column whose rows all have a usable one."""
    if target.type == "multilabel":
        return read_label_sets(column, target)
    return read_quantity(column) if target.type == "regression" else read_labels(column)


def target_issues(column: Column, targets: Targets, target: Target, pointer: str) -> list[Issue]:
    """What the targets alone show. `pointer` is the target's."""
    if isinstance(targets, LabelSets):
        return label_set_issues(column, targets, target, pointer)
    if isinstance(targets, Quantity):
        return quantity_issues(targets, target, pointer)
    assert isinstance(targets, Labels)
    return label_issues(column, targets, target, pointer)


def weight_issues(
    targets: Targets, weights: Mapping[str, float] | Literal["none", "balanced"], pointer: str = WEIGHTS_POINTER
) -> list[Issue]:
    """Class weights for classes that are not there. `pointer` is that of the weights."""
    if isinstance(weights, str) or not targets.classes:
        return []
    issues = []
    known = ", ".join(map(repr, targets.classes[:EXAMPLES])) + (", ..." if len(targets.classes) > EXAMPLES else "")
    for name in weights:
        if name not in targets.classes:
            close = difflib.get_close_matches(name, targets.classes, n=1)
            issues.append(
                Issue(
                    code="loss.unknown_class",
                    detail=f"there is a weight for {name!r}, which is no class",
                    pointer=f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}",
                    hint=f"did you mean {close[0]!r}?" if close else f"the classes are {known}",
                )
            )
    return issues
