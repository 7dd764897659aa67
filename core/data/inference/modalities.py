"""Which columns are modalities, of which type, and how they want to be prepared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.data.blobs import Blob
from core.data.inference.columns import Seen
from core.data.media import locate_files
from core.data.media_headers import Headers, read_headers
from core.data.remote import RemoteBlob
from core.data.sources.folder import kind_of_file
from core.spec.data import AudioModality, ImageModality, VideoModality

Found = tuple[dict[str, Any], str]

_FILES = 200
"""Files of a column that are looked into."""
_LARGEST_SIDE = 112
_LONGEST = 10.0
_SPEECH = 16_000
_MOST_CATEGORIES, _FEW_CATEGORIES = 100, 10
_MEDIA: dict[str, type[ImageModality | AudioModality | VideoModality]] = {
    "image": ImageModality,
    "audio": AudioModality,
    "video": VideoModality,
}


def modalities_of(
    columns: Sequence[Seen], base: Path, roots: Mapping[str, Path], left_out: dict[str, str]
) -> Iterator[Found]:
    """Each modality as JSON, and why; `left_out` takes the columns that are none, with the reason.

    Paths are relative to `base`.
    """
    names: set[str] = set()
    prose: list[Seen] = []
    table: list[dict[str, str]] = []
    for seen in columns:
        if seen.header.kind == "array":
            found = _array(seen)
        elif seen.header.kind in ("file", "text") and (kind := media_kind(seen)):
            found = _media(seen, kind, base, roots)
        elif seen.is_prose:
            prose.append(seen)
            continue
        else:
            column = _column(seen)
            if isinstance(column, str):
                left_out[seen.name] = column
            else:
                table.append(column)
            continue
        if isinstance(found, str):
            left_out[seen.name] = found
        else:
            yield {"name": _name(seen.name, names), **found[0]}, found[1]
    if prose:
        yield _prose(prose, names)
    if table:
        kinds = [f"{sum(c['type'] == kind for c in table)} {kind}" for kind in ("number", "category")]
        yield {"name": _name("table", names), "type": "tabular", "columns": table}, f"columns: {', '.join(kinds)}"


def _prose(columns: Sequence[Seen], names: set[str]) -> Found:
    words = np.mean([seen.words for seen in columns])
    several = len(columns) > 1
    found: dict[str, Any] = {"name": _name("text" if several else columns[0].name, names), "type": "text"}
    found |= {"columns": [seen.name for seen in columns]} if several else {"column": columns[0].name}
    gone = np.all([seen.column.missing for seen in columns if seen.column is not None], axis=0)
    return _masked(found, f"{words:.0f} words on average", int(gone.sum()))


def _name(column: str, taken: set[str]) -> str:
    """A modality's name after its column: letters, digits, `_`, `-`, a letter first; no two alike."""
    cleaned = "".join(mark if mark.isascii() and (mark.isalnum() or mark in "_-") else "_" for mark in column)[:48]
    base = cleaned if cleaned[:1].isalpha() else f"m_{cleaned}"
    base = f"{base}_input" if base in ("fused", "fused_fine_tuned", "heads_average", "heads_pool") else base
    name, number = base, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    return name


def _array(seen: Seen) -> Found | str:
    shape = seen.header.shape
    if shape is None:  # lists: how deep they are says the type of the column
        depth = seen.header.dtype.count("list")
        if depth == 1:
            return {"type": "embedding", "column": seen.name}, "a list of numbers per row; if it is a series: see docs"
        return f"lists in lists ({seen.header.dtype}): add it as a timeseries with its shape, if it is one"
    if len(shape) == 1:
        return {"type": "embedding", "column": seen.name}, f"vectors of {shape[0]}"
    if len(shape) == 2:
        found = {"type": "timeseries", "column": seen.name, "shape": [None, shape[1]]}
        return found, f"{shape[0]} steps of {shape[1]} channels"
    return f"an array with {len(shape)} axes per row"


def media_kind(seen: Seen) -> str | None:
    """Which media a column's paths (or the name of a folder's column) are; None where it holds no paths."""
    if seen.header.kind == "file":
        return seen.name.lower() if seen.name.lower() in _MEDIA else _kind_of_blobs(seen)
    some = [text for text in seen.texts[:: max(1, len(seen.texts) // 50)] if text]
    kinds = {kind_of_file(text) for text in some}
    return next(iter(kinds)) if len(kinds) == 1 and kinds <= set(_MEDIA) else None


def _kind_of_blobs(seen: Seen) -> str | None:
    """By the first bytes of the first files."""
    cells = [] if seen.column is None else [cell for cell in seen.column.cells()[:50] if not isinstance(cell, str)]
    for kind, model in _MEDIA.items():
        modality = model.model_validate({"type": kind, "name": "guess", "column": seen.name})
        if cells and not read_headers(modality, cells, most=50).problems:
            return kind
    return None


def _media(seen: Seen, kind: str, base: Path, roots: Mapping[str, Path]) -> Found | str:
    modality = _MEDIA[kind].model_validate({"type": kind, "name": "guess", "column": seen.name})
    blobs: list[Blob | None] = []
    found: dict[str, Any]
    if seen.column is not None:
        blobs = locate_files(seen.column.cells(), base, roots, most=_FILES).blobs
    if any(isinstance(blob, RemoteBlob) for blob in blobs):
        found = {"type": kind, "column": seen.name} | ({"missing": "mask"} if seen.missing else {})
        return found, f"{kind} files by their names; on an object store they are not looked into"
    headers = read_headers(modality, [blob for blob in blobs if blob is not None], most=_FILES)
    readable = headers.looked_at - len(headers.problems)
    if not readable:
        return f"looks like {kind} files, but none that was looked for can be read"
    found = {"type": kind, "column": seen.name}
    formats = "/".join(headers.counts["format"])
    if kind == "image":
        preprocess, note = _of_images(headers)
    elif kind == "audio":
        preprocess, note = _of_sounds(headers)
    else:
        preprocess, note = {"size": [_LARGEST_SIDE, _LARGEST_SIDE]}, ""
    if preprocess:
        found["preprocess"] = preprocess
    return _masked(found, f"{formats} files{note}", seen.missing)


def _masked(found: dict[str, Any], note: str, gone: int) -> Found:
    """The same; where `gone` rows lack the modality, they may."""
    return ({**found, "missing": "mask"}, f"{note}; {gone:,} rows have none") if gone else (found, note)


def _of_images(headers: Headers) -> tuple[dict[str, Any], str]:
    widths, heights = headers.measures["width"], headers.measures["height"]
    same = len(set(widths)) == len(set(heights)) == 1
    wide, high = float(np.median(widths)), float(np.median(heights))
    if same and max(wide, high) <= _LARGEST_SIDE:
        return {}, f" of {wide:.0f} x {high:.0f} pixels"
    scale = min(1.0, _LARGEST_SIDE / max(wide, high))
    size = [max(1, round(high * scale)), max(1, round(wide * scale))]
    return {"size": size}, f" of {min(widths):.0f} to {max(widths):.0f} pixels in width; all are resized"


def _of_sounds(headers: Headers) -> tuple[dict[str, Any], str]:
    rates = sorted(int(rate) for rate in headers.counts["sample_rate"])
    seconds = headers.measures.get("seconds", [])
    preprocess: dict[str, Any] = {"sample_rate": min(rates[0], _SPEECH)}
    note = f" of {'/'.join(map(str, rates))} Hz"
    if seconds:
        most = float(np.quantile(seconds, 0.95))
        preprocess["max_seconds"] = float(min(_LONGEST, max(0.5, math.ceil(most * 2) / 2)))
        note += f", {min(seconds):.2g} to {max(seconds):.2g} seconds"
    return preprocess, note


def _column(seen: Seen) -> dict[str, str] | str:
    """A column of the table, or why it is none."""
    if seen.numbers is not None and seen.header.kind != "boolean":
        if seen.missing:
            return f"{seen.missing:,} cells are empty: a number needs a value; fill them in, or declare it a category"
        return {"name": seen.name, "type": "number"}
    if seen.header.kind not in ("text", "boolean"):
        return f"a column of the kind {seen.header.kind} ({seen.header.dtype})"
    if len(seen.distinct) > min(_MOST_CATEGORIES, max(_FEW_CATEGORIES, len(seen.texts) // 4)):
        return f"{len(seen.distinct):,} different names: too many for a category, too short for a text"
    return {"name": seen.name, "type": "category"}
