"""Modalities: how the values of each type are read, fitted on the training part, and encoded.

Three steps, so that one pass over the files serves every split: `read_modality` decodes what does not depend on the
split, `fit_modality` takes a State from the training rows, `encode` turns decoded values into what the encoder sees.
`decode_sample` takes the same road for one new sample, from the saved states alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from core.data.blobs import Blob
from core.data.modalities import arrays, audio, image, prepared, tabular, text, video
from core.data.modalities.base import Floats, ModalityInfo, Raw, Reading, State, presence_of
from core.data.modalities.files import Decoded, DecodeFile, Files, Recipe
from core.data.modalities.space import Space
from core.data.problems import HINTS, SampleError
from core.data.table import Rows, Table
from core.errors import DataError, Issue
from core.spec.data import (
    AudioModality,
    EmbeddingModality,
    ImageModality,
    MediaModality,
    Modality,
    TabularModality,
    TextModality,
    TimeseriesModality,
    VideoModality,
)

__all__ = [
    "ModalityInfo",
    "State",
    "decode_file",
    "decode_sample",
    "encode",
    "fit_modality",
    "info_of",
    "is_encoded_by_batch",
    "is_media",
    "presence_of",
    "read_modality",
]

_DECODERS: dict[str, Callable[[Path | bytes, State], Raw]] = {
    "image": image.decode_image_of,
    "audio": audio.decode_sound_of,
    "video": video.decode_video_of,
}

_FILES: dict[str, DecodeFile] = {
    "image": image.decode_file,
    "audio": audio.decode_file,
    "video": video.decode_file,
}


def is_media(modality: Modality) -> bool:
    """Whether its column holds paths of files."""
    return isinstance(modality, MediaModality)


def decode_file(blob: Blob, recipe: Recipe) -> Decoded:
    """One media file, as the recipe of its modality says (`core.data.modalities.files`)."""
    return _FILES[recipe["type"]](blob, recipe)


def read_modality(
    modality: Modality,
    table: Table,
    blobs: Sequence[Blob | None] = (),
    files: Files | None = None,
    space: Space | None = None,
) -> Reading:
    """Decode every row. Media modalities take their files from `blobs` (None: known to be bad), others from the table.

    `files`: who decodes, left out in this process; `space`: where what is decoded is kept, left out in memory. Raises
    DataError `data.too_large` or `data.disk_full` where it does not fit there.
    """
    match modality:
        case ImageModality():
            return image.read_images(blobs, modality.preprocess, files, space)
        case AudioModality():
            return audio.read_sounds(blobs, modality.preprocess, files, space)
        case VideoModality():
            return video.read_videos(blobs, modality.preprocess, files, space)
        case TabularModality():
            return tabular.read_tabular([(spec, table.columns[spec.name]) for spec in modality.columns])
        case TimeseriesModality():
            return arrays.read_timeseries(table.columns[modality.column], modality.shape)
        case EmbeddingModality():
            return arrays.read_embedding(table.columns[modality.column])
        case TextModality():
            return text.read_texts([table.columns[name] for name in modality.text_columns])


def fit_modality(modality: Modality, raw: Raw, train: Rows) -> State:
    """The fitted preprocessing, from the rows `train` of `raw` alone."""
    match modality:
        case ImageModality():
            return image.fit_images(raw, train)
        case AudioModality():
            return audio.fit_sounds(raw, train, modality.preprocess)
        case VideoModality():
            return video.fit_videos(raw, train, modality.preprocess)
        case TabularModality():
            return tabular.fit_tabular(raw, train, modality.columns)
        case TimeseriesModality():
            return arrays.fit_timeseries(raw, train, modality.shape)
        case EmbeddingModality():
            return arrays.fit_embedding(raw, train)
        case TextModality():
            return text.fit_texts(raw, train, modality.preprocess)


def encode(raw: Raw, state: State) -> Floats:
    """Decoded values to C-contiguous float32 `[n, *info.shape]`."""
    match state["type"]:
        case "image":
            return image.encode_images(raw, state)
        case "audio":
            return audio.encode_sounds(raw, state)
        case "video":
            return video.encode_videos(raw, state)
        case "tabular":
            return tabular.encode_tabular(raw, state)
        case "timeseries":
            return arrays.encode_timeseries(raw, state)
        case "text":
            return text.encode_texts(raw, state)
        case prepared.TYPE:
            return prepared.encode_prepared(raw, state)
        case _:
            return arrays.encode_embedding(raw, state)


def info_of(name: str, state: State) -> ModalityInfo:
    """The modality as its encoder sees it."""
    match state["type"]:
        case "image":
            return ModalityInfo(name=name, kind="image", shape=(len(state["mean"]), *state["size"]))
        case "audio":
            return ModalityInfo(name=name, kind="audio", shape=(1, state["mels"], state["frames"]))
        case "video":
            return ModalityInfo(name=name, kind="video", shape=(state["frames"], len(state["mean"]), *state["size"]))
        case "tabular":
            categories = tuple(len(vocabulary) + 1 for vocabulary in state["vocabularies"])
            shape = (len(state["numbers"]) + len(categories),)
            return ModalityInfo(name=name, kind="tabular", shape=shape, categories=categories)
        case "timeseries":
            return ModalityInfo(name=name, kind="timeseries", shape=(state["steps"], state["channels"]))
        case "text":
            size = text.vocabulary_size(state)
            return ModalityInfo(name=name, kind="text", shape=(state["tokens"],), categories=(size,))
        case prepared.TYPE:
            return prepared.info_of_prepared(name, state)
        case _:
            return ModalityInfo(name=name, kind="embedding", shape=(state["length"],))


def is_encoded_by_batch(state: State) -> bool:
    """Whether samples are kept as they were read, since that takes less memory, and each batch is encoded by itself."""
    return state["type"] in ("image", "video") or (state["type"] == prepared.TYPE and not prepared.is_ragged(state))


EncodeFrozen = Callable[[Any, State], Raw]
"""One sample, and the state of a frozen encoder, to its features `[1, D]` (`core.data.features.Featuriser.encode`)."""
PrepareInput = Callable[[Any, State], Raw]
"""One sample, and the state of a modality whose pretrained model is trained, to a raw row (`core.data.tuning`)."""


def decode_sample(
    preprocessing: Mapping[str, State],
    sample: Mapping[str, Any],
    frozen: EncodeFrozen | None = None,
    inputs: Mapping[str, PrepareInput] | None = None,
) -> dict[str, Floats]:
    """One new sample as the model sees it: modality name -> float32 `[1, *shape]`.

    `preprocessing` is what `PreparedData.preprocessing` held. `sample` gives, for every modality, a Path or the bytes
    of a file (image, audio, video), a text or a list of texts (text), a mapping of column to value (tabular), or an
    array (timeseries, embedding). Raises DataError with one issue per modality that cannot be used, at `#/<modality>`.

    A modality that was masked in training (`missing: mask`) may be left out, or be None or empty, as long as there is
    another: it comes back as zeros. `presence_of(name)` -> float32 `[1]` says for each such modality whether it is
    there, 1, or not, 0; no other modality has that entry.

    A modality with a frozen encoder needs `frozen`, one whose pretrained model was trained has its own in `inputs`.
    """
    encoded: dict[str, Floats] = {}
    issues: list[Issue] = []
    absent = 0
    for name, state in sorted(preprocessing.items()):
        nothing = _is_nothing(sample.get(name), state)
        if state.get("missing") == "mask":
            encoded[presence_of(name)] = np.array([not nothing], dtype=np.float32)
            if nothing:
                absent += 1
                encoded[name] = np.zeros((1, *info_of(name, state).shape), dtype=np.float32)
                continue
        try:
            if sample.get(name) is None:
                raise SampleError("value.missing", "it is not given")
            if "frozen" in state:
                raw = _features_of(sample[name], state, frozen)
            elif state["type"] == prepared.TYPE:
                raw = _input_of(sample[name], state, (inputs or {}).get(name))
            else:
                raw = _raw_of(sample[name], state)
            encoded[name] = encode(raw, state)
        except SampleError as error:
            detail = f"modality {name!r}: {error.detail}"
            hint = _NOT_GIVEN if error.code == "value.missing" and nothing else HINTS[error.code]
            issues.append(Issue(code=error.code, detail=detail, pointer=f"#/{name}", hint=hint))
    if absent == len(preprocessing):
        detail = f"there is none of the modalities {', '.join(map(repr, sorted(preprocessing)))}"
        issues.append(Issue(code="row.no_modality", detail=detail, pointer="#", hint="give at least one of them"))
    if issues:
        raise DataError(issues[0].detail, code=issues[0].code, hint=issues[0].hint, issues=tuple(issues))
    return encoded


_NOT_GIVEN = 'give it, or train a model with "missing": "mask" for this modality, which answers without it, too'


def _features_of(value: Any, state: State, frozen: EncodeFrozen | None) -> Raw:
    if frozen is None:
        raise ValueError("a modality has a frozen encoder: decode_sample() needs what computes its features")
    return frozen(value, state["frozen"])


def _input_of(value: Any, state: State, prepare: PrepareInput | None) -> Raw:
    if prepare is None:
        raise ValueError("a modality has a pretrained model: decode_sample() needs what prepares its inputs")
    if state["kind"] != "text" and not isinstance(value, Path | bytes):
        raise SampleError("value.dtype", "it is neither a Path nor the bytes of a file")
    return prepare(value, state)


def _is_nothing(value: Any, state: State) -> bool:
    """Whether a sample's value is what an empty cell, or empty cells, would be in a data set."""
    if "text" in (state["type"], state.get("kind")):
        cells = value if isinstance(value, list | tuple) else [value]
    elif state["type"] == "tabular" and isinstance(value, Mapping):
        cells = [value.get(name) for name in (*state["numbers"], *state["categories"])]
    else:
        return value is None
    return all(_is_empty(cell) for cell in cells)


def _is_empty(cell: Any) -> bool:
    """None, a blank text, or NaN, by which tables in memory say that a number is missing."""
    return cell is None or (isinstance(cell, str) and not cell.strip()) or (isinstance(cell, float) and isnan(cell))


def _raw_of(value: Any, state: State) -> Raw:
    if state["type"] in _DECODERS:
        if not isinstance(value, Path | bytes):
            raise SampleError("value.dtype", "it is neither a Path nor the bytes of a file")
        return _DECODERS[state["type"]](value, state)
    if state["type"] == "text":
        return text.text_of(value)
    if state["type"] == "tabular":
        reading = tabular.read_tabular(tabular.tabular_columns_of(value, state))
    else:
        try:
            column = arrays.array_column(value)
        except (TypeError, ValueError) as error:
            raise SampleError("value.dtype", "it is no array of numbers") from error
        if state["type"] == "timeseries":
            reading = arrays.read_timeseries(column, (state["steps"], state["channels"]))
        else:
            reading = arrays.read_embedding(column, state["length"])
    if reading.problems:
        raise SampleError(reading.problems[0].code, reading.problems[0].detail)
    return np.asarray(reading.raw)
