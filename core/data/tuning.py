"""Reads modalities whose encoders are pretrained models that are trained: every sample once, as the model's input.

What turns a decoded sample into an input is the model's own tokenizer or processor, and is handed in: no library of
models here. Files are decoded by the same code, and the same processes, as those of any modality.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol, TypeVar

import numpy as np

from core.data.blobs import Blob
from core.data.feature_pass import Telling
from core.data.features import decode_for, how_to_read
from core.data.modalities import audio, decode_file, text
from core.data.modalities.base import Raw, Reading, State
from core.data.modalities.files import Decoded, Files, InTurn, Recipe, decoded, numbered
from core.data.modalities.prepared import LONGEST_WAVE
from core.data.modalities.space import Shelf, Space
from core.data.pretrained import FileStamp, PretrainedFiles, encoder_error, reads_nothing
from core.data.problems import RowProblem, SampleError
from core.data.table import Table
from core.spec.data import Modality, TextModality

_Item = TypeVar("_Item")
_TELL_EVERY = 640
"""After so many samples of a modality people are told a line."""
_SMALLER = "take a model with smaller inputs, fewer frames, or a smaller preprocess.max_seconds"


class Inputs(Protocol):
    """A model's own preparation of a decoded sample."""

    @property
    def pixels(self) -> State | None:
        """How the 8-bit pixels that it gives are scaled and normalised; None where it gives what the model takes."""

    def __call__(self, sample: Any) -> Raw:
        """The input of one sample as `core.data.modalities.prepared` keeps it; samples are those of
        `core.data.feature_pass.FrozenModel`. Raises SampleError."""


LoadInputs = Callable[[Modality, PretrainedFiles, str], Inputs]
"""A modality, its model's files, and a pointer for errors (DataError `encoder.*`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """A model that is trained: where it begins, and what must go with it wherever it is exported."""

    files: PretrainedFiles
    pointer: str
    """To the field that names it."""
    beside: dict[str, bytes] = field(repr=False)
    """Names and contents of the files that prepare its inputs."""
    stamp: FileStamp = ()
    digest: str = ""
    """Of the files, as the data's fingerprint has it."""

    def check_unchanged(self) -> None:
        """Raises DataError `encoder.changed` where the files are gone, or hold something else."""
        try:
            same = self.files.stamp() == self.stamp or self.files.digest() == self.digest
        except OSError:
            same = False
        if not same:
            detail = "the files of a pretrained model are not those that this training began with"
            hint = "put the old files back and retry: the job goes on from its last checkpoint"
            raise encoder_error("encoder.changed", detail, hint, self.pointer)


def tuned(files: PretrainedFiles, pointer: str) -> Tuned:
    """With everything but the weights read now: what is exported is what the data were prepared with."""
    stamp = files.stamp()
    beside = {path.name: path.read_bytes() for path in files.files if path.suffix != ".safetensors"}
    return Tuned(files=files, pointer=pointer, beside=beside, stamp=stamp)


def read_inputs(
    modality: Modality,
    files: PretrainedFiles,
    inputs: Inputs,
    table: Table,
    blobs: Sequence[Blob | None] = (),
    decoders: Files | None = None,
    space: Space | None = None,
    telling: Telling | None = None,
    pointer: str = "#",
) -> Reading:
    """The inputs of every row; `decoders` and `space` are those of `core.data.modalities.read_modality`.

    Raises DataError `encoder.unusable` at `pointer` where the model can read none of them.
    """
    telling = telling or Telling()
    telling.doing(f"inputs of {modality.name!r}: the model's files are looked at")
    prepared = _Counted(inputs)
    how = {**how_to_read(modality, files), "digest": files.digest(), "config": files.config}
    if inputs.pixels is not None:
        how["pixels"] = inputs.pixels
    if isinstance(modality, TextModality):
        reading = _texts(modality, prepared, table, telling)
    else:
        reading = _Media(modality.name, how, prepared, space or Space(), telling).read(blobs, decoders)
    if prepared.unread and not prepared.read:
        raise reads_nothing(prepared.unread, prepared.trouble, pointer)
    reading.problems.sort(key=lambda problem: problem.row)
    reading.prepared = how
    return reading


def new_input(value: Any, state: State, inputs: Inputs) -> Raw:
    """One new sample, a file (Path or bytes) or a text, as a raw row `[1, ...]`. Raises SampleError."""
    if state["kind"] == "text":
        value = str(text.text_of(value)[0])
    row = inputs(decode_for(value, state))
    if "longest" not in state:
        return row[None]
    raw = np.empty(1, dtype=object)
    raw[0] = row
    return raw


def _told(items: Iterable[_Item], name: str, samples: int, telling: Telling) -> Iterator[_Item]:
    """The samples of the modality `name`; how many are done is told after each, whatever became of it."""
    for done, item in enumerate(items, 1):
        yield item
        how_far = f"inputs of {name!r}: {done:,} of {samples:,}"
        telling.doing(how_far)
        if done == samples or done % _TELL_EVERY == 0:
            telling.line(how_far)


class _Counted:
    """Inputs, and how many samples they were made of, and were not."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self.read = self.unread = 0
        self.trouble = ""

    @property
    def pixels(self) -> State | None:
        return self._inputs.pixels

    def __call__(self, sample: Any) -> Raw:
        try:
            found = self._inputs(sample)
        except SampleError as error:
            self.unread += 1
            self.trouble = error.detail
            raise
        self.read += 1
        return found


def _texts(modality: TextModality, inputs: Inputs, table: Table, telling: Telling) -> Reading:
    reading = text.read_texts([table.columns[name] for name in modality.text_columns])
    bad = {problem.row for problem in reading.problems}
    for row, words in enumerate(_told(reading.raw, modality.name, len(reading.raw), telling)):
        if row in bad or words is None:
            continue
        try:
            reading.raw[row] = inputs(words)
        except SampleError as error:
            reading.problems.append(RowProblem.of(row, error))
    return reading


class _Media:
    """Files of one modality."""

    def __init__(self, name: str, how: State, inputs: Inputs, space: Space, telling: Telling) -> None:
        self._name = name
        self._telling = telling
        self._how = how
        self._inputs = inputs
        self._space = space
        self._shelf = Shelf(space, "inputs", _SMALLER)

    def read(self, blobs: Sequence[Blob | None], decoders: Files | None) -> Reading:
        """Each file, decoded and prepared; `None` stands for rows known to be bad."""
        reading = Reading(np.zeros((len(blobs), 1), dtype=np.float32), digests=[b""] * len(blobs))
        rates: Counter[int] = Counter()
        # A pool decodes by the modality's built-in recipes, which for sounds end in spectrograms.
        is_sound = self._how["kind"] == "audio"
        files = InTurn(self._wave) if is_sound else decoders or InTurn(decode_file)
        is_first = True
        there = numbered(blobs)
        for row, found in _told(files.each(self._recipe(), there), self._name, len(there), self._telling):
            reading.digests[row] = found.digest
            try:
                if found.error is not None:
                    raise found.error
                assert found.values is not None
                values = self._inputs(found.values)
                if is_first:
                    reading.raw, is_first = self._room(len(blobs), values), False
                self._put(reading.raw, row, values)
                rates.update([found.rate] if found.rate else [])
            except SampleError as error:
                reading.problems.append(RowProblem.of(row, error))
        if is_sound:
            reading.warnings.extend(audio.rate_warnings(rates, self._how["sample_rate"]))
        return reading

    def _room(self, rows: int, first: Raw) -> Raw:
        if first.ndim == 1:
            return np.empty(rows, dtype=object)
        return self._space.zeros((rows, *first.shape), first.dtype, what="inputs", hint=_SMALLER)

    def _put(self, raw: Raw, row: int, values: Raw) -> None:
        if raw.dtype == object:
            raw[row] = self._shelf.keep(values[:LONGEST_WAVE])
        elif values.shape == raw.shape[1:]:
            raw[row] = values
        else:
            own, first = (" x ".join(map(str, shape)) for shape in (values.shape, raw.shape[1:]))
            raise SampleError("value.shape", f"its model prepares it to {own}, the first sample to {first}")

    def _recipe(self) -> Recipe:
        names = [name for name in ("frames", "max_seconds") if name in self._how]
        return {"type": self._how["kind"], "mode": "rgb", "size": None, **{name: self._how[name] for name in names}}

    def _wave(self, blob: Blob, recipe: Recipe) -> Decoded:
        """One sound, as `core.data.features.decode_for` has it."""

        def wave(file: BinaryIO) -> tuple[Raw, int]:
            found, rate = audio.decode_sound(file, self._how["sample_rate"], self._how["max_seconds"])
            return audio.levelled(found, self._how["level"]), rate

        return decoded(blob, audio.MAX_FILE_BYTES, wave)
