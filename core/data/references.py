"""Which columns a spec names, where it names them, and what they must hold."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from core.data.table import ColumnHeader, ColumnKind
from core.errors import Issue
from core.spec.data import (
    ArraysSource,
    ColumnSplit,
    DatasetSpec,
    DrawSplit,
    HashSplit,
    Holdout,
    ManifestSource,
    MediaModality,
    Modality,
    TabularModality,
    TargetType,
    TextModality,
    TimeseriesModality,
)

Role = Literal[
    "target", "labels", "quantity", "sample_id", "split", "stratify", "group", "path", "number", "category", "series",
    "vector", "words",
]  # fmt: skip

_MOST_COMPARED = 1000
"""Names among which the nearest is looked for; it takes a millisecond for ten."""
_SCALAR: tuple[ColumnKind, ...] = ("text", "number", "boolean")
_ALLOWED: dict[Role, tuple[ColumnKind, ...]] = {
    "target": _SCALAR, "sample_id": _SCALAR, "split": _SCALAR, "stratify": _SCALAR, "group": _SCALAR,
    "labels": (*_SCALAR, "texts", "array"), "quantity": _SCALAR,
    "path": ("text", "file"), "number": _SCALAR, "category": _SCALAR, "series": ("array",), "vector": ("array",),
    "words": _SCALAR,
}  # fmt: skip
_TARGET_ROLES: dict[TargetType, Role] = {
    "multiclass": "target", "binary": "target", "multilabel": "labels", "regression": "quantity",
}  # fmt: skip
_WANTED: dict[Role, str] = {
    "labels": "lists of labels, texts or an array of 0 and 1",
    "quantity": "numbers",
    "path": "paths of files (text) or files (binary)",
    "series": "lists (or lists of lists) of numbers",
    "vector": "lists of numbers",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """One mention of a column in the spec."""

    column: str
    role: Role
    pointer: str
    modality: str | None = None


def references(spec: DatasetSpec, holdout: Holdout, pointer: str, holdout_pointer: str) -> list[Reference]:
    """Every mention, in the order of the spec."""
    found = [Reference(spec.target.column, _TARGET_ROLES[spec.target.type], f"{pointer}/target/column")]
    if spec.sample_id is not None:
        found.append(Reference(spec.sample_id, "sample_id", f"{pointer}/sample_id"))
    for index, modality in enumerate(spec.modalities):
        found += modality_references(modality, f"{pointer}/modalities/{index}")
    split = spec.split
    if isinstance(split, ColumnSplit):
        found.append(Reference(split.column, "split", f"{pointer}/split/column"))
    if isinstance(split, DrawSplit) and isinstance(split.stratify_by, str):
        found.append(Reference(split.stratify_by, "stratify", f"{pointer}/split/stratify_by"))
    for index, column in enumerate(split.group_by):
        found.append(Reference(column, "group", f"{pointer}/split/group_by/{index}"))
    for index, column in enumerate(holdout.group_by or ()):
        found.append(Reference(column, "group", f"{holdout_pointer}/group_by/{index}"))
    return found


def modality_references(modality: Modality, pointer: str) -> list[Reference]:
    """The columns of one modality."""
    if isinstance(modality, TabularModality):
        return [
            Reference(column.name, column.type, f"{pointer}/columns/{index}/name", modality.name)
            for index, column in enumerate(modality.columns)
        ]
    if isinstance(modality, TextModality):
        if modality.column is not None:
            return [Reference(modality.column, "words", f"{pointer}/column", modality.name)]
        return [
            Reference(column, "words", f"{pointer}/columns/{index}", modality.name)
            for index, column in enumerate(modality.columns or ())
        ]
    role: Role = "vector"
    if isinstance(modality, MediaModality):
        role = "path"
    elif isinstance(modality, TimeseriesModality):
        role = "series"
    return [Reference(modality.column, role, f"{pointer}/column", modality.name)]


def schema_issues(spec: DatasetSpec, pointer: str = "#/dataset") -> list[Issue]:
    """What is wrong with a data-set spec by itself, before any file is looked at."""
    issues = [
        Issue(
            code="leak.target_in_features",
            detail=f"the target {reference.column!r} is also a column of the modality {modality.name!r}",
            pointer=reference.pointer,
            hint="a model that sees the answer learns nothing else; leave the column out",
        )
        for index, modality in enumerate(spec.modalities)
        for reference in modality_references(modality, f"{pointer}/modalities/{index}")
        if reference.column == spec.target.column
    ]
    if isinstance(spec.split, ColumnSplit):
        values = spec.split.values
        parts = [{plain(value) for value in part} for part in (values.train, values.validation, values.test)]
        twice = sorted((parts[0] & parts[1]) | (parts[0] & parts[2]) | (parts[1] & parts[2]))
        if twice:
            issues.append(
                Issue(
                    code="split.values_overlap",
                    detail=f"the split value {twice[0]!r} means more than one part",
                    pointer=f"{pointer}/split/values",
                    hint="a value may stand for one part only; case and outer blanks do not count",
                    count=len(twice),
                    examples=tuple(twice[:5]),
                )
            )
    no_ids = isinstance(spec.source, ManifestSource | ArraysSource) and spec.sample_id is None
    if isinstance(spec.split, HashSplit) and not spec.split.group_by and no_ids:
        issues.append(
            Issue(
                code="split.no_id",
                detail="there is nothing to hash: the rows have no names and no groups",
                pointer=f"{pointer}/split",
                hint="set sample_id, or split.group_by, to the column whose value decides a row's part",
            )
        )
    return issues


def plain(value: str) -> str:
    """A split value as it is compared: without case and outer blanks."""
    return value.strip().casefold()


def header_issue(reference: Reference, headers: Mapping[str, ColumnHeader]) -> Issue | None:
    """What is wrong with the column that a reference names: missing, or of the wrong kind; None if nothing is."""
    header = headers.get(reference.column)
    if header is None:
        return Issue(
            code="column.missing",
            detail=f"there is no column {reference.column!r}",
            pointer=reference.pointer,
            hint=_nearest(reference.column, list(headers)),
        )
    if header.kind not in _ALLOWED[reference.role]:
        wanted = _WANTED.get(reference.role, "texts or numbers, one per row,")
        hint = "name another column, or convert this one"
        if reference.role in ("series", "vector") and header.dtype == "string":
            hint = "csv and tsv hold no lists: use parquet, jsonl or npz"
        elif reference.role == "target" and header.kind in ("texts", "array"):
            hint = 'for several labels per row set target.type to "multilabel"'
        return Issue(
            code="value.dtype",
            detail=f"the column {reference.column!r} is {header.dtype}; {wanted} are expected",
            pointer=reference.pointer,
            hint=hint,
        )
    return None


def shape_issue(modality: Modality, header: ColumnHeader, pointer: str) -> Issue | None:
    """Whether an array whose shape the source declares (npz) can be this modality's."""
    shape = header.shape
    if shape is None:
        return None
    if isinstance(modality, TimeseriesModality):
        fits = shape[1:] == (modality.shape[1],) or (len(shape) == 1 and modality.shape[1] == 1)
        wanted = f"[{modality.shape[0] or 'steps'}, {modality.shape[1]}]"
    else:
        fits, wanted = len(shape) == 1, "[length]"
    if fits and 0 not in shape:
        return None
    detail = f"a sample of the modality {modality.name!r} has the shape {list(shape)}; {wanted} is expected"
    hint = "name another array, or store this one in that shape"
    return Issue(code="value.shape", detail=detail, pointer=pointer, hint=hint)


def _nearest(name: str, names: list[str]) -> str:
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|,"):
        return "the header is one single name: is the file separated by something else than its format says?"
    close = difflib.get_close_matches(name, names[:_MOST_COMPARED], n=1, cutoff=0.6)
    if not close:
        lowered = {other.strip().casefold(): other for other in names}
        close = [lowered[plain(name)]] if plain(name) in lowered else []
    if close:
        return f"did you mean {close[0]!r}?"
    shown = ", ".join(map(repr, names[:20])) + (", ..." if len(names) > 20 else "")
    return f"the columns are {shown}"
