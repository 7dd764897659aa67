"""Rows as JSON: what each modality of a sample holds, as far as a page shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from core.data.blobs import Blob, open_blob
from core.data.duplicates import PARTS
from core.data.media import locate_files
from core.data.modalities import audio, image, video
from core.data.modalities.clips import describe_clip
from core.data.modalities.text import joined
from core.data.previews.opened import Opened
from core.data.previews.series import number, told_series, told_vector
from core.data.problems import SampleError
from core.data.remote import RemoteBlob
from core.data.table import Rows
from core.errors import DataError, SpecError
from core.spec.data import (
    AudioModality,
    EmbeddingModality,
    ImageModality,
    MediaModality,
    Modality,
    TabularModality,
    TextModality,
)

CHARACTERS = 500
"""Of a text; it is said how many there are."""
CELL_CHARACTERS = 200
FETCHED_BYTES = 128 * 2**20
"""Of one file on an object store."""
_FILES_SECONDS = 8.0
"""After so long, files of a page are not looked for any more."""
_FORBIDDEN = {"code": "source.forbidden", "detail": "the path is not below a configured root"}

Value = dict[str, Any]
Skip = Mapping[tuple[int, str], Mapping[str, str]]
"""Row of the source, modality -> what is wrong with its file: it is not looked into again."""
Told = Callable[[int, str], None]
"""Is told of each file (row of the source, modality) before it is looked into."""


def rows_of(opened: Opened, places: Rows, skip: Skip, told: Told) -> list[dict[str, Any]]:
    """These rows, at most a page of them."""
    spec = opened.registration.dataset
    columns = {modality.name: _values(opened, modality, places, skip, told) for modality in spec.modalities}
    labels = opened.labels(places)
    return [
        {
            "row": int(opened.rows[place]),
            "id": clean(opened.look.survey.sample_ids[place], CELL_CHARACTERS),
            "part": PARTS[opened.parts[place]] if opened.parts[place] >= 0 else None,
            "labels": [clean(name, CELL_CHARACTERS) for name in labels[index][0]],
            "quantity": None if labels[index][1] is None else number(labels[index][1]),
            "values": {name: column[index] for name, column in columns.items()},
        }
        for index, place in enumerate(places.tolist())
    ]


def clean(text: str, most: int) -> str:
    """The beginning of a text, without halves of surrogates."""
    return text[:most].encode("utf-8", "replace").decode()


def blob_at(opened: Opened, modality: MediaModality, place: int) -> Blob:
    """The file of one row. Raises SampleError, SpecError (`source.forbidden`) and DataError."""
    column = opened.column(modality.column).take(np.array([place]))
    assert opened.look.survey.source is not None
    located = locate_files(
        column.cells(), opened.look.survey.source.base, opened.roots, deadline=time.monotonic() + _FILES_SECONDS
    )
    if located.forbidden:
        raise SpecError(_FORBIDDEN["detail"], code=_FORBIDDEN["code"])
    if located.problems:
        raise SampleError(located.problems[0].code, located.problems[0].detail)
    blob = located.blobs[0]
    if blob is None:
        raise SampleError("file.too_slow", "it could not be looked for in time")
    if isinstance(blob, RemoteBlob) and blob.size() > FETCHED_BYTES:
        detail = f"the file has {blob.size()} bytes; at most {FETCHED_BYTES} are fetched for a preview"
        raise DataError(detail, code="preview.too_large")
    return blob


def _values(opened: Opened, modality: Modality, places: Rows, skip: Skip, told: Told) -> list[Value]:
    try:
        if isinstance(modality, MediaModality):
            found = _media(opened, modality, places, skip, told)
        elif isinstance(modality, TextModality):
            found = _texts(opened, modality, places)
        elif isinstance(modality, TabularModality):
            found = _cells(opened, modality, places)
        else:
            found = _arrays(opened, modality, places)
        return list(found)
    except DataError as error:  # of the column, so of every row
        return [_wrong(modality, error.code, error.detail)] * len(places)


def _value(modality: Modality, *, missing: bool = False, **content: Any) -> Value:
    return {"type": modality.type, "missing": missing, "error": None, **content}


def _wrong(modality: Modality, code: str, detail: str) -> Value:
    missing = code == "value.missing"
    error = None if missing else {"code": code, "detail": clean(detail, 300)}
    return {"type": modality.type, "missing": missing, "error": error}


def _media(opened: Opened, modality: MediaModality, places: Rows, skip: Skip, told: Told) -> Iterator[Value]:
    column = opened.column(modality.column).take(places)
    assert opened.look.survey.source is not None
    located = locate_files(
        column.cells(), opened.look.survey.source.base, opened.roots, deadline=time.monotonic() + _FILES_SECONDS
    )
    problems = {problem.row: problem for problem in located.problems}
    for index, place in enumerate(places.tolist()):
        row, blob = int(opened.rows[place]), located.blobs[index]
        if index in located.forbidden:
            yield _wrong(modality, **_FORBIDDEN)
        elif index in problems:
            yield _wrong(modality, problems[index].code, problems[index].detail)
        elif (row, modality.name) in skip:
            yield _wrong(modality, **skip[row, modality.name])
        elif blob is None:
            yield _wrong(modality, "file.too_slow", "it could not be looked for in time")
        else:
            told(row, modality.name)
            yield _file(modality, blob)


def _file(modality: MediaModality, blob: Blob) -> Value:
    if isinstance(blob, RemoteBlob):  # it would have to be fetched, for its header alone
        return _value(modality, bytes=blob.size())
    facts: dict[str, Any]
    try:
        if isinstance(modality, ImageModality):
            with open_blob(blob, image.MAX_FILE_BYTES) as file, image.opened_image(file) as picture:
                facts = {"width": picture.width, "height": picture.height, "mode": picture.mode}
                facts["format"] = str(picture.format)
        elif isinstance(modality, AudioModality):
            with open_blob(blob, audio.MAX_FILE_BYTES) as file, audio.opened_sound(file) as sound:
                facts = {"seconds": audio.seconds_of(sound), "sample_rate": int(sound.samplerate)}
                facts |= {"channels": int(sound.channels), "format": str(sound.format)}
        else:
            with open_blob(blob, video.MAX_FILE_BYTES) as file:
                facts = describe_clip(file)
        return _value(modality, bytes=blob.size(), **facts)
    except SampleError as error:
        return _wrong(modality, error.code, error.detail)
    except OSError as error:  # gone meanwhile
        return _wrong(modality, "file.missing", error.strerror or "it cannot be read")


def _texts(opened: Opened, modality: TextModality, places: Rows) -> Iterator[Value]:
    columns = [opened.column(name).take(places).text() for name in modality.text_columns]
    for cells in zip(*columns, strict=True):
        text = joined(cells)
        yield _value(modality, missing=not text, text=clean(text, CHARACTERS), characters=len(text))


def _cells(opened: Opened, modality: TabularModality, places: Rows) -> Iterator[Value]:
    shown: dict[str, list[str | float | None]] = {}
    for spec in modality.columns:
        column = opened.column(spec.name).take(places)
        texts = column.text()
        cells: list[str | float | None] = [clean(text, CELL_CHARACTERS) if text.strip() else None for text in texts]
        if spec.type == "number":
            numbers, unreadable = column.numbers()
            cells = [
                cell if unreadable[index] or cell is None else number(numbers[index])
                for index, cell in enumerate(cells)
            ]
        shown[spec.name] = cells
    for index in range(len(places)):
        row = {clean(name, CELL_CHARACTERS): cells[index] for name, cells in shown.items()}
        yield _value(modality, missing=all(cell is None for cell in row.values()), columns=row)


def _arrays(opened: Opened, modality: Modality, places: Rows) -> Iterator[Value]:
    assert not isinstance(modality, TabularModality | TextModality)
    column = opened.column(modality.column).take(places)
    for value, gone in zip(column.values, column.missing, strict=True):
        if gone or value is None:
            yield _value(modality, missing=True)
        elif isinstance(modality, EmbeddingModality):
            yield _value(modality, **told_vector(value))
        else:
            yield _value(modality, **told_series(value))
