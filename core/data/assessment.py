"""Labels, split and V of the rows that can be used, and every issue that they raise. No file is opened here."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from core.data.problems import EXAMPLES
from core.data.quantity import constant_issue
from core.data.references import plain
from core.data.split import (
    PART_COLUMN,
    PART_NAMES,
    TEST,
    TRAIN,
    UNUSED,
    VALIDATION,
    Codes,
    Parts,
    codes_of,
    draw_holdout,
    draw_parts,
    hash_parts,
)
from core.data.split_issues import (
    class_issues,
    group_leaks,
    holdout_class_issues,
    holdout_group_issues,
    listed,
    sample_id_issues,
    too_small,
)
from core.data.table import Column, Mask, Rows, Table
from core.data.targets import Labels, Quantity, Targets, read_target, target_issues
from core.errors import Issue
from core.spec.data import ColumnSplit, DatasetSpec, DrawSplit, FilesSplit, HashSplit, Holdout


@dataclass(slots=True)
class Assessment:
    """What becomes of the rows. `parts` and `holdout` are None where an issue forbids to say."""

    labels: Targets
    parts: Parts | None = None
    holdout: Mask | None = None
    holdout_groups: tuple[str, ...] = ()
    groups: Codes | None = None
    """[N] codes of the groups that V is drawn by; None where it is drawn without groups."""
    issues: list[Issue] = field(default_factory=list)

    def rows_by_part(self) -> dict[str, Rows] | None:
        """The assessed rows, ascending, of T (`train`), V (`holdout`), `validation` and `test`; None where it is not
        known."""
        if self.parts is None or self.holdout is None:
            return None
        masks = {
            "train": (self.parts == TRAIN) & ~self.holdout,
            "holdout": self.holdout,
            "validation": self.parts == VALIDATION,
            "test": self.parts == TEST,
        }
        return {name: np.flatnonzero(mask).astype(np.int64) for name, mask in masks.items()}


def assess(
    table: Table, spec: DatasetSpec, holdout: Holdout, *, seed: int, pointer: str, holdout_pointer: str
) -> Assessment:
    """Judge rows that all have a label. `seed` draws V where `holdout.seed` is left out.

    Needs the target column; checks that need another column are skipped where it is missing from `table`.
    """
    target = table.columns[spec.target.column]
    labels = read_target(target, spec.target)
    found = Assessment(labels, issues=target_issues(target, labels, spec.target, f"{pointer}/target"))
    named = [*spec.split.group_by, *(holdout.group_by or ())]
    if isinstance(spec.split, ColumnSplit):
        named.append(spec.split.column)
    elif isinstance(spec.split, DrawSplit) and isinstance(spec.split.stratify_by, str):
        named.append(spec.split.stratify_by)
    if table.rows == 0 or any(name not in table.columns for name in named):
        return found
    for columns, where in ((spec.split.group_by, f"{pointer}/split"), (holdout.group_by or (), holdout_pointer)):
        found.issues += _ungrouped(table, columns, f"{where}/group_by")
    match spec.split:
        case ColumnSplit():
            _given(found, table, spec.split, given_parts(table.columns[spec.split.column], spec.split), pointer)
        case FilesSplit():
            _given(found, table, spec.split, table.columns[PART_COLUMN].values, pointer)
        case DrawSplit():
            _drawn(found, table, spec.split, labels, pointer)
        case HashSplit():
            _hashed(found, table, spec, spec.split, pointer)
    found.issues += sample_id_issues(table, spec, found.parts, pointer)
    if found.parts is not None:
        found.issues += class_issues(labels, found.parts, pointer)
        _hold_out(found, table, spec, holdout, seed, holdout_pointer)
        found.issues += _constant_in_train(found, spec, f"{pointer}/target")
    return found


def given_parts(column: Column, split: ColumnSplit) -> Parts:
    """The part that each row's split value names; UNUSED where it names none."""
    values = split.values
    part_of = {plain(value): TRAIN for value in values.train}
    part_of |= {plain(value): VALIDATION for value in values.validation}
    part_of |= {plain(value): TEST for value in values.test}
    texts = column.text()
    return np.fromiter((part_of.get(plain(text), UNUSED) for text in texts), dtype=np.int8, count=len(texts))


def _given(found: Assessment, table: Table, split: ColumnSplit | FilesSplit, parts: Parts, pointer: str) -> None:
    for part in (TRAIN, TEST):
        if not (parts == part).any():
            found.issues.append(_empty_part(table, split, part, pointer))
            return
    found.parts = parts
    if split.group_by:
        groups = joint_values(table, split.group_by)
        found.issues += group_leaks(groups, parts, f"{pointer}/split/group_by")


def _empty_part(table: Table, split: ColumnSplit | FilesSplit, part: int, pointer: str) -> Issue:
    name = PART_NAMES[part]
    if isinstance(split, FilesSplit):
        detail = f"no row of {getattr(split, name)!r} can be used"
        return Issue(code="split.empty", detail=detail, pointer=f"{pointer}/split/{name}")
    return Issue(
        code="split.empty",
        detail=f"no usable row belongs to the {name} part of {split.column!r}",
        pointer=f"{pointer}/split/column",
        hint=f"say which values mean it with split.values.{name}",
        examples=tuple(sorted(set(table.columns[split.column].text()))[:EXAMPLES]),
    )


def _hashed(found: Assessment, table: Table, spec: DatasetSpec, split: HashSplit, pointer: str) -> None:
    column = spec.sample_id or table.id_column
    if split.group_by:
        names = joint_values(table, split.group_by)
    elif column is not None and column in table.columns:
        names = table.columns[column].text()
    else:
        return
    fractions = split.fractions.in_order
    parts = hash_parts(names, fractions, split.seed)
    empty = [PART_NAMES[part] for part in range(3) if fractions[part] > 0 and not (parts == part).any()]
    if empty:
        what = "groups" if split.group_by else "sample ids"
        found.issues.append(
            Issue(
                code="split.empty",
                detail=f"none of the {len(set(names))} {what} is hashed to the part {' or '.join(map(repr, empty))}",
                pointer=f"{pointer}/split",
                hint="with few of them take another split.seed or other fractions, or the method 'draw'",
                count=len(set(names)),
            )
        )
        return
    found.parts = parts


def _drawn(found: Assessment, table: Table, split: DrawSplit, labels: Targets, pointer: str) -> None:
    fractions = split.fractions.in_order
    needed = sum(fraction > 0 for fraction in fractions)
    groups = joint_values(table, split.group_by) if split.group_by else None
    units = table.rows if groups is None else len(set(groups))
    if units < needed:
        what, code = ("rows", "split.empty") if groups is None else ("groups", "split.too_few_groups")
        found.issues.append(
            Issue(
                code=code,
                detail=f"{units} {what} cannot be drawn into {needed} parts",
                pointer=f"{pointer}/split" + ("" if groups is None else "/group_by"),
                hint="add rows, or set the validation fraction to 0"
                if groups is None
                else "no group may be on two sides",
                count=units,
            )
        )
        return
    strata = np.zeros(table.rows, dtype=np.int64)
    if split.stratify_by is not False:
        strata, names = labels.strata(np.arange(table.rows, dtype=np.int64))
        if isinstance(split.stratify_by, str):
            texts = table.columns[split.stratify_by].text()
            strata, names = codes_of(texts), tuple(sorted(set(texts)))
        # A label is often the rarest of a few rows only; whether a part lacks the label is told by `class_issues`.
        if groups is None and (isinstance(labels, Labels) or isinstance(split.stratify_by, str)):
            found.issues += too_small(strata, names, needed, pointer)
    found.parts = draw_parts(strata, None if groups is None else codes_of(groups), fractions, split.seed)


def _hold_out(
    found: Assessment, table: Table, spec: DatasetSpec, holdout: Holdout, seed: int, holdout_pointer: str
) -> None:
    assert found.parts is not None
    train = np.flatnonzero(found.parts == TRAIN)
    if len(train) < 2:
        detail = "V is drawn from train, which has fewer than two usable rows"
        found.issues.append(Issue(code="holdout.empty", detail=detail, pointer=holdout_pointer))
        return
    columns = spec.split.group_by if holdout.group_by is None else holdout.group_by
    joint = joint_values(table, columns) if columns else []
    names = [joint[row] for row in train.tolist()] if columns else []
    apart = joint_values(table, spec.split.group_by) if spec.split.group_by else []
    found.issues += holdout_group_issues(
        spec.split.group_by, [apart[row] for row in train.tolist()] if apart else [], columns, names, holdout_pointer
    )
    found.groups = codes_of(joint) if columns else None
    groups = codes_of(names) if len(set(names)) > 1 else None
    strata, _ = found.labels.strata(train)
    held = draw_holdout(strata, groups, holdout.fraction, holdout.seed if holdout.seed is not None else seed)
    found.holdout = np.zeros(table.rows, dtype=np.bool_)
    found.holdout[train[held]] = True
    if groups is not None:
        found.holdout_groups = tuple(sorted({name for name, inside in zip(names, held, strict=True) if inside}))
    found.issues += holdout_class_issues(found.labels, train, held, holdout_pointer)


def _constant_in_train(found: Assessment, spec: DatasetSpec, pointer: str) -> list[Issue]:
    """A number that varies over all rows, but not over T, to which it is fitted."""
    labels, parts, held = found.labels, found.parts, found.holdout
    if not isinstance(labels, Quantity) or parts is None or held is None:
        return []
    rows = np.flatnonzero((parts == TRAIN) & ~held)
    if not labels.is_constant(rows) or labels.is_constant(np.arange(len(parts))):
        return []
    return [constant_issue(labels, spec.target, " of T", pointer)]


def _ungrouped(table: Table, columns: tuple[str, ...], pointer: str) -> list[Issue]:
    count = sum(not value for value in joint_values(table, columns)) if columns else 0
    if not count:
        return []
    return [
        Issue(
            code="group.missing",
            severity="warning",
            detail=f"{count} rows have no {listed(columns)}; together they count as one group",
            pointer=pointer,
            count=count,
        )
    ]


def joint_values(table: Table, columns: tuple[str, ...]) -> list[str]:
    """Each row's joint value of several columns, as people read it: `george`, or `site A / patient 3`.

    Empty where all of them are missing; such rows count as one group.
    """
    rows = zip(*(table.columns[name].text() for name in columns), strict=True)
    return [" / ".join(values) if any(values) else "" for values in rows]
