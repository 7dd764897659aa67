"""What a split can get wrong: small strata, classes on one side, ids and groups on two."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import numpy as np

from core.data.labels import imbalance_issue
from core.data.problems import EXAMPLES
from core.data.split import PART_NAMES, TEST, TRAIN, UNUSED, VALIDATION, Codes, Parts
from core.data.table import Mask, Rows, Table
from core.data.targets import Labels, Targets
from core.errors import Issue, Severity
from core.spec.data import ColumnSplit, DatasetSpec, FilesSplit


def too_small(strata: Codes, names: tuple[str, ...], needed: int, pointer: str) -> list[Issue]:
    """Strata with fewer rows than there are parts."""
    counts = np.bincount(strata, minlength=len(names))
    small = [f"{names[code]!r}: {counts[code]}" for code in np.flatnonzero(counts < needed)]
    if not small:
        return []
    return [
        Issue(
            code="split.class_too_small",
            detail=f"a class needs {needed} rows to be in each of {needed} parts; too small: {', '.join(small[:3])}",
            pointer=f"{pointer}/split",
            hint="add rows of it, merge it with another, or set split.stratify_by to false",
            count=len(small),
            examples=tuple(small[:EXAMPLES]),
        )
    ]


def class_issues(labels: Targets, parts: Parts, pointer: str) -> list[Issue]:
    """Classes that are missing from train or from test, and imbalance in train."""
    counts = {part: labels.counts(parts == part) for part in range(3)}
    elsewhere = counts[VALIDATION] + counts[TEST]
    unknown = [labels.classes[code] for code in np.flatnonzero((counts[TRAIN] == 0) & (elsewhere > 0))]
    issues: list[Issue] = []
    if unknown:
        issues.append(
            Issue(
                code="split.class_not_in_train",
                detail=f"seen only in validation or test: {', '.join(map(repr, unknown[:EXAMPLES]))}",
                pointer=f"{pointer}/split",
                hint="no model can learn a class that it never sees; move rows of it to train, or leave it out",
                count=len(unknown),
                examples=tuple(unknown[:EXAMPLES]),
            )
        )
    untested = [labels.classes[code] for code in np.flatnonzero((counts[TEST] == 0) & (counts[TRAIN] > 0))]
    if untested:
        issues.append(
            Issue(
                code="split.class_not_in_test",
                severity="warning",
                detail=f"never tested: {', '.join(map(repr, untested[:EXAMPLES]))}",
                pointer=f"{pointer}/split",
                count=len(untested),
                examples=tuple(untested[:EXAMPLES]),
            )
        )
    if not isinstance(labels, Labels):  # a rare label is nothing odd among many, and its metrics see it as it is
        return issues
    imbalance = imbalance_issue(labels.classes, counts[TRAIN], f"{pointer}/target")
    return [*issues, imbalance] if imbalance is not None else issues


def holdout_class_issues(labels: Targets, train: Rows, held: Mask, pointer: str) -> list[Issue]:
    """Classes that T or V lacks. `train` are the training rows, `held` marks V among them."""
    inside, outside = labels.counts(train[held]), labels.counts(train[~held])
    issues: list[Issue] = []
    sides: tuple[tuple[str, Severity, Mask, str], ...] = (
        ("holdout.class_not_trained", "error", (outside == 0) & (inside > 0), "V takes every training row of"),
        ("holdout.class_missing", "warning", (inside == 0) & (outside > 0), "V holds no row of"),
    )
    for code, severity, mask, text in sides:
        names = [labels.classes[index] for index in np.flatnonzero(mask)]
        if names:
            issues.append(
                Issue(
                    code=code,
                    severity=severity,
                    detail=f"{text} {', '.join(map(repr, names[:EXAMPLES]))}",
                    pointer=pointer,
                    hint="take another holdout.seed or fraction, or other group columns",
                    count=len(names),
                    examples=tuple(names[:EXAMPLES]),
                )
            )
    return issues


def holdout_group_issues(
    split_by: tuple[str, ...], apart: list[str], drawn_by: tuple[str, ...], groups: list[str], pointer: str
) -> list[Issue]:
    """Where V does not keep whole what the split keeps apart, or cannot be drawn by group at all.

    `apart` and `groups` are the joint values of the columns `split_by` (the split's) and `drawn_by` (V's), for every
    training row; both are empty where there are no columns.
    """
    issues: list[Issue] = []
    single = bool(drawn_by) and len(set(groups)) == 1
    broken = _in_several_groups(apart, groups) if split_by and drawn_by and not single else []
    at_random = not drawn_by or (single and len(set(apart)) > 1)
    if split_by and (at_random or broken):
        told = (
            "V is drawn at random" if at_random else f"V is drawn by {listed(drawn_by)}, which does not keep them whole"
        )
        issues.append(
            Issue(
                code="holdout.ignores_groups",
                severity="warning",
                detail=f"the split keeps {listed(split_by)} apart, but {told}",
                pointer=f"{pointer}/group_by",
                hint="V then shares groups with T, and the estimate is blind to what hurts on new groups; "
                "leave holdout.group_by out to draw V by the split's groups",
                count=len(broken) or None,
                examples=tuple(broken[:EXAMPLES]),
            )
        )
    if single:
        issues.append(
            Issue(
                code="holdout.one_group",
                severity="warning",
                detail=f"train holds a single group of {listed(drawn_by)}: V is drawn at random instead",
                pointer=f"{pointer}/group_by",
                hint="with two groups or more, V would be made of groups that T never sees",
            )
        )
    return issues


def _in_several_groups(values: list[str], groups: list[str]) -> list[str]:
    """The values whose rows are in more than one group. Empty values are told elsewhere."""
    found: dict[str, set[str]] = defaultdict(set)
    for value, group in zip(values, groups, strict=True):
        if value:
            found[value].add(group)
    return sorted(value for value, where in found.items() if len(where) > 1)


def listed(columns: tuple[str, ...]) -> str:
    """Column names as a message shows them."""
    return ", ".join(map(repr, columns))


def sample_id_issues(table: Table, spec: DatasetSpec, parts: Parts | None, pointer: str) -> list[Issue]:
    """Ids that are missing, on two rows, or on two sides of a given split."""
    name = spec.sample_id or table.id_column
    if name is None or name not in table.columns:
        return []
    where = f"{pointer}/sample_id" if spec.sample_id is not None else f"{pointer}/source/uri"
    column = table.columns[name]
    issues: list[Issue] = []
    if column.missing.any():
        count = int(column.missing.sum())
        issues.append(
            Issue(code="sample_id.missing", detail=f"{count} rows have no {name!r}", pointer=where, count=count)
        )
    texts = column.text()
    rows = _perhaps_alike(texts)
    ids = [texts[row] for row in rows.tolist()]
    given = parts if isinstance(spec.split, ColumnSplit | FilesSplit) else None
    leaking = {} if given is None else _on_several_sides(ids, given[rows])
    issues += _leak_issue(leaking, "sample", where)
    twice = [sample for sample, count in Counter(ids).items() if count > 1 and sample and sample not in leaking]
    if twice:
        issues.append(
            Issue(
                code="sample_id.duplicate",
                detail=f"{len(twice)} sample ids are on more than one row",
                pointer=where,
                hint="every row needs its own id",
                count=len(twice),
                examples=tuple(twice[:EXAMPLES]),
            )
        )
    return issues


def _perhaps_alike(values: list[str]) -> Rows:
    """The rows whose value has the hash of another row's. A million texts in a set or a dict would take 100 MB more."""
    hashes = np.fromiter(map(hash, values), dtype=np.int64, count=len(values))
    order = np.argsort(hashes, kind="stable")
    same = np.diff(hashes[order]) == 0
    return np.sort(order[np.append(same, False) | np.insert(same, 0, False)]).astype(np.int64)


def group_leaks(groups: list[str], parts: Parts, pointer: str) -> list[Issue]:
    """Groups on more than one side of a given split."""
    return _leak_issue(_on_several_sides(groups, parts), "group", pointer)


def _on_several_sides(values: list[str], parts: Parts) -> dict[str, list[int]]:
    """The values on more than one side, and the sides. Empty values are told elsewhere."""
    inside: dict[int, set[str]] = defaultdict(set)  # by part: a set for every value would take far more memory
    for value, part in zip(values, parts.tolist(), strict=True):
        if value and part != UNUSED:
            inside[part].add(value)
    shared = {value for one, two in itertools.combinations(inside.values(), 2) for value in one & two}
    in_order = dict.fromkeys(value for value in values if value in shared) if shared else {}
    return {value: [part for part in sorted(inside) if value in inside[part]] for value in in_order}


def _leak_issue(leaking: dict[str, list[int]], what: str, pointer: str) -> list[Issue]:
    if not leaking:
        return []
    shown = [f"{value}: {' and '.join(PART_NAMES[part] for part in sides)}" for value, sides in leaking.items()]
    number = f"1 {what} is" if len(leaking) == 1 else f"{len(leaking)} {what}s are"
    return [
        Issue(
            code="split.leak",
            detail=f"{number} on more than one side of the split ({shown[0]})",
            pointer=pointer,
            hint="test results would flatter the model; move each to one side",
            count=len(leaking),
            examples=tuple(shown[:EXAMPLES]),
        )
    ]
