"""From a URI to a spec, with a reason for every line of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.data.inference.bases import base_uri_of
from core.data.inference.columns import (
    COUNTERS,
    GROUPS,
    PARTS,
    Seen,
    groups_of,
    is_id,
    keeps_apart,
    says_the_same,
    split_values,
    target_of,
    target_type,
)
from core.data.inference.modalities import modalities_of
from core.data.inference.places import Place, open_place
from core.data.labels import in_order
from core.data.sources.base import Source
from core.data.sources.folder import FILE_NAME, ID
from core.data.sources.shards import KEY
from core.data.table import Table
from core.data.uris import resolve
from core.errors import Issue, SpecError
from core.spec.sources import ManifestSource

_NAMES_OF_FILES = {"folder": (ID, FILE_NAME), "webdataset": (KEY,)}


@dataclass(slots=True, kw_only=True)
class Inferred:
    """A guess."""

    dataset: dict[str, Any]
    """A data-set spec as JSON, as far as there is one: without a target or with fewer than two modalities it is none
    yet, and `missing` says so."""
    notes: dict[str, str] = field(default_factory=dict)
    """JSON pointer below the job spec -> why that is there."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Column -> why it is not used."""
    holdout: dict[str, Any] = field(default_factory=dict)
    """How V is drawn, where the split alone does not say."""
    missing: list[str] = field(default_factory=list)
    """What a person must add before it is a spec."""
    rows: int = 0


def infer(uri: str, roots: Mapping[str, Path], *, target: str | None = None) -> Inferred:
    """Look at a manifest, an npz or safetensors file, a folder or shards, and guess what is what.

    `target` names the column that is to be predicted. Raises SpecError (`source.forbidden`, `column.missing`) and
    DataError, as opening the source does; the pointers are `#/uri` and `#/target`.
    """
    place = open_place(uri, roots)
    columns = _columns(place.source)
    by_name = {seen.name: seen for seen in columns}
    if target is not None and target not in by_name:
        shown = ", ".join(map(repr, list(by_name)[:20]))
        detail = f"there is no column {target!r}"
        issue = Issue(code="column.missing", detail=detail, pointer="#/target", hint=f"the columns are {shown}")
        raise SpecError(detail, issues=(issue,))
    found = Inferred(dataset={"source": place.spec}, rows=place.source.rows, notes={"#/dataset/source": place.note})
    free = dict(by_name)
    if target is not None:
        chosen: Seen | None = by_name[target]
    elif len(place.targets) == 1:
        chosen = by_name[place.targets[0]]
    else:
        chosen = target_of(_candidates([seen for seen in columns if not place.targets or seen.name in place.targets]))
    _use_target(found, chosen, free, asked=target is not None)
    _use_id(found, place, free)
    _leave_out(found, chosen, free)
    _use_split(found, place, free)
    found.dataset["modalities"] = []
    for modality, note in modalities_of(
        list(free.values()), _base_of(found, place, columns, roots), roots, found.left_out
    ):
        found.notes[f"#/dataset/modalities/{len(found.dataset['modalities'])}"] = note
        found.dataset["modalities"].append(modality)
    if len(found.dataset["modalities"]) < 2:
        some = "one was found" if found.dataset["modalities"] else "none was found"
        found.missing.append(f"modalities: gblend blends two or more; {some}")
    return found


def _base_of(found: Inferred, place: Place, columns: Sequence[Seen], roots: Mapping[str, Path]) -> Path:
    """What paths are relative to."""
    source = place.source
    if place.spec["type"] == "manifest":
        spec = ManifestSource.model_validate(found.dataset["source"])
        uri = base_uri_of(spec, source.base, columns, roots, is_folder=place.split is not None)
        if uri is not None:
            found.dataset["source"] = {**found.dataset["source"], "base_uri": uri}
            found.notes["#/dataset/source"] += "; paths are relative to base_uri"
            return resolve(uri, roots)
    return source.base


def _columns(source: Source) -> list[Seen]:
    files = {name for name, header in source.headers.items() if header.kind == "file"}
    table: Table = source.read(sorted(set(source.headers) - (source.costly - files)))
    return [
        Seen(name=name, header=header, column=table.columns.get(name))
        for name, header in source.headers.items()
        if header.kind != "unsupported"
    ]


def _candidates(columns: list[Seen]) -> list[Seen]:
    """Columns that may be a target: those that say the split, or name rows, are none."""
    return [seen for seen in columns if split_values(seen) is None and not is_id(seen) and not seen.counts_rows]


def _use_target(found: Inferred, chosen: Seen | None, free: dict[str, Seen], *, asked: bool) -> None:
    if chosen is None:
        found.missing.append("target: no column looks like one; name it with --target")
        return
    kind = target_type(chosen)
    found.dataset["target"] = {"column": chosen.name} | ({} if kind == "multiclass" else {"type": kind})
    count = f"{len(chosen.distinct):,} different values"
    if kind in ("multiclass", "binary"):
        some = in_order(chosen.distinct)[:5]
        count = f"{len(chosen.distinct):,} classes: {', '.join(some)}{', ...' if len(chosen.distinct) > 5 else ''}"
    found.notes["#/dataset/target"] = count if asked else f"a guess; {count}"
    free.pop(chosen.name)


def _use_id(found: Inferred, place: Place, free: dict[str, Seen]) -> None:
    if place.source.id_column is not None:
        # Where each part is a folder (or shards) of its own, the joint id is another column than each part's.
        for name in (place.source.id_column, *_NAMES_OF_FILES.get(place.spec["type"], ())):
            free.pop(name, None)
        return
    ids = [seen for seen in free.values() if is_id(seen) and not seen.counts_rows]
    if ids:
        found.dataset["sample_id"] = ids[0].name
        found.notes["#/dataset/sample_id"] = "another value in every row"
        free.pop(ids[0].name)


def _leave_out(found: Inferred, chosen: Seen | None, free: dict[str, Seen]) -> None:
    """Columns that must not, or cannot, be features. Groups are the split's, even where each has one class only."""
    for name, seen in list(free.items()):
        reason = None
        if chosen is not None and seen.plain not in GROUPS and says_the_same(seen, chosen):
            reason = f"says the same as the target {chosen.name!r}"
        elif seen.column is not None and seen.header.kind in ("text", "number", "boolean"):
            if not seen.distinct:
                reason = "empty"
            elif len(seen.distinct) == 1 and not seen.missing:
                reason = "the same value in every row"
            elif seen.counts_rows:
                reason = "counts the rows"
            elif seen.plain in COUNTERS:
                reason = "counts"
            elif is_id(seen):
                reason = "names the rows"
        if reason is not None:
            found.left_out[name] = reason
            free.pop(name)


def _use_split(found: Inferred, place: Place, free: dict[str, Seen]) -> None:
    groups = groups_of(free.values())
    by = [group.name for group in groups[:1]]
    given = {name: values for name, seen in free.items() if (values := split_values(seen)) is not None}
    splits = [free[name] for name in given]
    if place.split is not None:
        found.dataset["split"], note = place.split, "given by the files"
        found.holdout = {"group_by": by} if by else {}
    elif splits:
        apart = [(split, group) for group in groups for split in splits if keeps_apart(split, group)]
        split = apart[0][0] if apart else splits[0]
        found.dataset["split"] = {"method": "column", "column": split.name}
        values = given[split.name]
        if any(set(values[part]) - set(PARTS[part]) for part in values):
            found.dataset["split"]["values"] = {part: list(values[part]) for part in values}
        note = "given by the data"
        if apart:
            by = [apart[0][1].name]
            found.dataset["split"]["group_by"] = by
            note += f"; no {by[0]} is on two sides"
        else:
            found.holdout = {"group_by": by} if by else {}
    else:
        found.dataset["split"] = {"method": "draw", **({"group_by": by} if by else {}), "seed": 0}
        note = "drawn, each class in proportion" + (f"; no {by[0]} is on two sides" if by else "")
    if found.holdout:
        found.notes["#/holdout"] = f"V holds out whole groups of {by[0]}, which the given split does not"
    found.notes["#/dataset/split"] = note
    for seen, reason in [
        *((each, "says which part a row is in") for each in splits),
        *((each, "names groups: a model that sees them learns them by heart") for each in groups),
    ]:
        free.pop(seen.name, None)
        if seen.name not in (found.dataset["split"].get("column"), *by):
            found.left_out[seen.name] = reason
