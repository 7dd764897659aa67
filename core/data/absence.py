"""Rows that lack a modality (`missing: mask`): which they are, and what must be said of them.

A modality is absent where its cell is empty, or where a source has no file for it; text and tabular where all of their
cells are. Anything else that cannot be used (a path that leads nowhere, a damaged file, NaN in an array) is a bad
sample: a typo must not be learnt as absence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.data.assessment import Assessment
from core.data.problems import EXAMPLES, RowProblem
from core.data.references import modality_references
from core.data.split import PART_NAMES, TEST, TRAIN, VALIDATION, Parts
from core.data.table import Mask, Rows, Table
from core.data.targets import Quantity, Targets
from core.errors import Issue
from core.spec.data import Modality

Floats = NDArray[np.float64]

TELLING_DIFFERENCE, TELLING_ERRORS = 0.2, 3.0
"""Absence may tell the class where a class lacks a modality more often, or more seldom, than the others together, by so
much and by so many standard errors of the difference."""


def absent_rows(modality: Modality, table: Table) -> Mask | None:
    """Which rows [N] lack the modality, masked or not; None where one of its columns has not been loaded."""
    columns = [reference.column for reference in modality_references(modality, "")]
    if any(name not in table.columns for name in columns):
        return None
    gone: Mask = np.logical_and.reduce([table.columns[name].missing for name in columns])
    return gone


def masked_rows(modalities: Iterable[Modality], table: Table) -> dict[str, Mask]:
    """Which rows [N] lack each modality that is masked, as far as that is known."""
    found = {each.name: absent_rows(each, table) for each in modalities if each.missing == "mask"}
    return {name: absent for name, absent in found.items() if absent is not None}


def rows_without_any(modalities: Sequence[Modality], absent: Mapping[str, Mask]) -> list[RowProblem]:
    """The rows that have nothing to learn from: they lack all modalities, and all of these are masked."""
    if set(absent) != {modality.name for modality in modalities}:
        return []
    rows = np.flatnonzero(np.logical_and.reduce(list(absent.values()))).tolist()
    return [RowProblem(row, "row.no_modality", "every modality is missing") for row in rows]


def absence_issues(
    modalities: Sequence[Modality], absent: Mapping[str, Mask], assessment: Assessment, pointer: str
) -> list[Issue]:
    """Errors for a modality that T or V lacks altogether; warnings for one that another part lacks altogether, or that
    train lacks mostly, or by class.

    `absent` [N] is of the rows that were assessed; `pointer` is that of the data set.
    """
    if assessment.parts is None:
        return []
    train = assessment.parts == TRAIN
    issues: list[Issue] = []
    for index, modality in enumerate(modalities):
        mask = absent.get(modality.name)
        if mask is None or not mask.any():
            continue
        where = f"{pointer}/modalities/{index}/missing"
        never = _never_present(modality.name, mask, train, assessment.holdout, where)
        issues += never or [
            *_never_measured(modality.name, mask, assessment.parts, where),
            *_mostly(modality.name, mask[train], where),
            *_tells_class(modality.name, mask, assessment.labels, np.flatnonzero(train), where),
        ]
    return issues


def _never_measured(name: str, absent: Mask, parts: Parts, pointer: str) -> list[Issue]:
    """Warnings for parts on which the head of a modality has nothing to go by."""
    return [
        Issue(
            code="missing.whole_part",
            severity="warning",
            detail=f"no row of {PART_NAMES[part]} has the modality {name!r}",
            pointer=pointer,
            hint="what is measured there says nothing of this modality; split by a draw, or fill in some rows",
            count=int(rows.sum()),
        )
        for part in (VALIDATION, TEST)
        if (rows := parts == part).any() and absent[rows].all()
    ]


def _never_present(name: str, absent: Mask, train: Mask, holdout: Mask | None, pointer: str) -> list[Issue]:
    places = {"train": (train, "fill in rows of train, or leave the modality out")}
    if holdout is not None:
        lucky = "set another holdout.seed or a larger holdout.fraction, fill in more rows, or leave the modality out"
        places = {"T, the rows that are trained on,": (train & ~holdout, lucky)}
        places["V, the rows held out of train,"] = (holdout, lucky)
    return [
        Issue(
            code="modality.never_present",
            detail=f"no row of {place} has the modality {name!r}",
            pointer=pointer,
            hint=hint,
            count=int(rows.sum()),
        )
        for place, (rows, hint) in places.items()
        if rows.any() and absent[rows].all()
    ]


def _mostly(name: str, absent: Mask, pointer: str) -> list[Issue]:
    if absent.mean() <= 0.5:
        return []
    return [
        Issue(
            code="missing.mostly",
            severity="warning",
            detail=f"{int(absent.sum())} of {len(absent)} rows of train lack the modality {name!r}",
            pointer=pointer,
            hint="its encoder learns from the others alone",
            count=int(absent.sum()),
        )
    ]


def _tells_class(name: str, absent: Mask, targets: Targets, train: Rows, pointer: str) -> list[Issue]:
    """A warning where the rows of a class (the larger half of the numbers) lack a modality oftener than the others."""
    titles, inside, gone = _counts(targets, absent, train)
    total, share = len(train), float(absent[train].mean())
    rate = gone / np.maximum(inside, 1.0)
    others = (share * total - gone) / np.maximum(total - inside, 1.0)
    error = np.sqrt(share * (1.0 - share) * total / np.maximum(inside * (total - inside), 1.0))
    difference = np.abs(rate - others) * ((inside > 0) & (inside < total))
    telling = np.flatnonzero((difference >= TELLING_DIFFERENCE) & (difference > TELLING_ERRORS * error))
    if not len(telling):
        return []
    worst = telling[np.argsort(-difference[telling], kind="stable")].tolist()
    shown = [f"{titles[code]}: {rate[code]:.0%}, others: {others[code]:.0%}" for code in worst[:EXAMPLES]]
    return [
        Issue(
            code="missing.tells_class",
            severity="warning",
            detail=f"in train, how often {name!r} is missing depends on the target ({shown[0]})",
            pointer=pointer,
            hint="a model learns this, too; if it will not be so where it is used, fill the rows in or leave some out",
            count=len(worst),
            examples=tuple(shown),
        )
    ]


def _counts(targets: Targets, absent: Mask, rows: Rows) -> tuple[tuple[str, ...], Floats, Floats]:
    """Names; how many of `rows` [K] each class, label or half of the numbers has; and how many of these are absent."""
    lacking = rows[absent[rows]]
    if not isinstance(targets, Quantity):
        return targets.classes, targets.counts(rows).astype(np.float64), targets.counts(lacking).astype(np.float64)
    median = np.median(targets.values[rows])
    counts = [np.array([(targets.values[some] > median).sum()], dtype=np.float64) for some in (rows, lacking)]
    return ("targets above the median",), counts[0], counts[1]
