"""Frozen encoders run once: a sample's features are computed, kept on disk, and shared by whoever needs them again.

A feature depends on the model's files, on how the sample is read, on what computes it, and on the sample's bytes: on
nothing that a split, a seed, a strategy or a head decides. So a file of features is named by a digest of the first
three, and holds those of many samples, each found by the digest of its bytes. What computes them is handed in: no torch
here.

What computes them (`computed_by`) is the versions of torch and transformers, the kind of device and the number format:
with another one a feature may differ in its last bits, and with another transformers by more, where a model's or a
processor's code was changed. A pass is cheap beside a data set whose halves do not fit together, so they are kept
apart; what was computed otherwise is merely not found. Patch releases and models of GPUs are not told apart: that would
throw passes away for differences in the last bits that a fleet of unlike GPUs has anyhow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.data.blobs import Blob, blob_of, open_blob
from core.data.feature_cache import FeatureCache
from core.data.feature_pass import SAVE_SECONDS, FeaturePass, FrozenModel, Samples, Telling
from core.data.hub import Hub
from core.data.modalities import arrays, audio, clips, image, text, video
from core.data.modalities.base import Floats, Raw, Reading, State, guard_store, hashed
from core.data.pretrained import FileStamp, PretrainedFiles, check_frames, encoder_error, pretrained_of, reads_nothing
from core.data.problems import RowProblem, SampleError
from core.data.table import Rows, Table
from core.spec.data import AudioModality, Modality, TextModality, VideoModality
from core.spec.job import canonical_json

_VERSION = 1
"""Of what lies between a sample and the model; another one computes other features."""
_MOST_BYTES = {"image": image.MAX_FILE_BYTES, "audio": audio.MAX_FILE_BYTES, "video": video.MAX_FILE_BYTES}

LoadModel = Callable[[PretrainedFiles, State, str], FrozenModel]
"""Files, how samples are read (`how_to_read`), and a pointer for errors. Loading may take long: it happens where it is
needed alone."""


class Featuriser:
    """Reads modalities whose encoders are frozen models."""

    def __init__(
        self,
        load: LoadModel,
        cache: FeatureCache,
        telling: Telling | None = None,
        *,
        save_seconds: float = SAVE_SECONDS,
        computed_by: Mapping[str, str] | None = None,
        hub: Hub | None = None,
    ) -> None:
        """`computed_by`: see above (`core.models.pretrained.computed_by`). `save_seconds`: how much computing may be
        lost where this process is killed. `hub`: where models of the hub come from; None: nowhere."""
        self.hub = hub
        self._load = load
        self._cache = cache
        self._telling = telling or Telling()
        self._save_seconds = save_seconds
        self._computed_by = dict(computed_by or {})
        self._digests: dict[FileStamp, str] = {}
        self._loaded: dict[tuple[Path, bytes], FrozenModel] = {}
        """For `encode` alone: a training lets go of a model once its features are there."""

    def read(
        self,
        modality: Modality,
        files: PretrainedFiles,
        pointer: str,
        table: Table,
        blobs: Sequence[Blob | None] = (),
    ) -> Reading:
        """The features `[rows, D]` of every row.

        Rows that are bad or absent are zeros. Raises DataError (`encoder.*`) where the model cannot be used.
        """
        check_frames(modality, files, pointer)
        how = how_to_read(modality, files)
        samples = _texts(modality, table) if isinstance(modality, TextModality) else self._files(modality, blobs, how)
        state = {**how, "digest": self._digest_of(files)}
        named_by = {**state, "version": _VERSION, "computed_by": self._computed_by}
        key = hashlib.sha256(canonical_json(named_by)).hexdigest()
        reading = Reading(np.zeros((len(samples.digests), 0), dtype=np.float32), samples.problems)
        if not isinstance(modality, TextModality):
            reading.digests = samples.digests
        wanted = {digest: row for row, digest in reversed(list(enumerate(samples.digests))) if digest}
        known = self._cache.find(key, wanted)
        if len(known) < len(wanted):
            waits = f"features of {modality.name!r}: another process computes them"
            with self._cache.computing(key, lambda: self._telling.doing(waits)):
                known |= self._cache.find(key, wanted.keys() - known.keys())
                bad = self._add(modality, files, how, pointer, key, wanted, samples, known)
            found = [*samples.problems, *_of_all_rows(bad, samples.digests)]
            reading.problems = sorted(found, key=lambda problem: problem.row)
        width = next((len(vector) for vector in known.values()), 0)
        guard_store(len(samples.digests) * width * 4, "features", "take a model with a smaller hidden size")
        reading.raw = np.zeros((len(samples.digests), width), dtype=np.float32)
        for row, digest in enumerate(samples.digests):
            if digest in known:
                reading.raw[row] = known[digest]
        reading.frozen = state
        return reading

    def encode(self, value: Any, frozen: State, files: PretrainedFiles, pointer: str = "#") -> Floats:
        """The features `[1, D]` of one new sample, a file (Path or bytes) or a text, by a model's saved state.

        The model's files are read for the first sample, and again once they have changed. Raises SampleError, and
        DataError `encoder.changed` where the files are not those of the training.
        """
        if self._digest_of(files) != frozen["digest"]:
            detail = "the files of a frozen encoder are not those that the model was trained with"
            raise encoder_error("encoder.changed", detail, "put the old files back", pointer)
        if frozen["kind"] == "text":
            value = str(text.text_of(value)[0])
        return self._at_hand(files, frozen, pointer).features([decode_for(value, frozen)])

    def _digest_of(self, files: PretrainedFiles) -> str:
        stamp = files.stamp()
        if stamp not in self._digests:
            self._digests[stamp] = files.digest()
        return self._digests[stamp]

    def _at_hand(self, files: PretrainedFiles, frozen: State, pointer: str) -> FrozenModel:
        wanted = (files.folder, canonical_json(frozen))
        if wanted not in self._loaded:
            self._loaded[wanted] = self._load(files, frozen, pointer)
        return self._loaded[wanted]

    def _files(self, modality: Modality, blobs: Sequence[Blob | None], how: State) -> Samples:
        limit = _MOST_BYTES[how["kind"]]
        digests, problems = [b""] * len(blobs), []
        for row, blob in enumerate(blobs):
            if blob is None:
                continue
            try:
                with open_blob(blob, limit) as file:
                    digests[row] = hashed(file)
            except SampleError as error:
                problems.append(RowProblem.of(row, error))
            self._telling.doing(f"features of {modality.name!r}: file {row + 1:,} of {len(blobs):,} is looked at")

        def decode(row: int) -> Raw:
            blob = blobs[row]
            assert blob is not None
            decoded: Raw = decode_for(blob, how)
            return decoded

        return Samples(digests, problems, decode)

    def _add(
        self,
        modality: Modality,
        files: PretrainedFiles,
        how: State,
        pointer: str,
        key: str,
        wanted: Mapping[bytes, int],
        samples: Samples,
        known: dict[bytes, Floats],
    ) -> list[RowProblem]:
        """Compute what is not known yet, and keep it; the problems of samples that cannot be read."""
        new = sorted(row for digest, row in wanted.items() if digest not in known)
        if not new:
            return []
        self._telling.line(f"features of {modality.name!r}: {len(new):,} of {len(wanted):,} samples to compute")
        self._telling.doing(f"features of {modality.name!r}: the model is loaded")
        work = FeaturePass(self._cache, key, self._telling, self._save_seconds)
        model = self._load(files, how, pointer)
        work.run(model, modality.name, new, samples)
        if work.unread and not (work.found or known):
            raise reads_nothing(work.unread, model.trouble, pointer)
        known |= work.found
        return work.bad


def fit_features(raw: Raw, train: Rows, frozen: State) -> State:
    """Features are standardised on the training rows, as any embedding; the state says what made them."""
    return {**arrays.fit_embedding(raw, train), "frozen": frozen}


def how_to_read(modality: Modality, files: PretrainedFiles) -> State:
    """What decides how a sample of the modality is read for its model, as JSON."""
    encoder = pretrained_of(modality)
    how: State = {"kind": modality.type, "pooling": "mean" if encoder is None else encoder.pooling}
    if isinstance(modality, TextModality):
        how["max_tokens"] = min(modality.preprocess.max_tokens, files.tokens)
    elif isinstance(modality, AudioModality):
        how |= {"sample_rate": files.sample_rate, "max_seconds": modality.preprocess.max_seconds}
        how["level"] = modality.preprocess.level
    elif isinstance(modality, VideoModality):
        how |= {"frames": modality.preprocess.frames, "max_seconds": modality.preprocess.max_seconds}
    return how


def decode_for(value: Path | bytes | Blob | str, how: State) -> Any:
    """One sample as a frozen model wants it; `value` is a text, or a file. Raises SampleError."""
    if isinstance(value, str):
        return text.checked(value)
    kind = how["kind"]
    blob = blob_of(value) if isinstance(value, Path | bytes) else value
    if kind == "image":
        with open_blob(blob, image.MAX_FILE_BYTES) as file:
            return image.decode_image(file, mode="rgb", size=None)
    if kind == "audio":
        with open_blob(blob, audio.MAX_FILE_BYTES) as file:
            wave, _ = audio.decode_sound(file, how["sample_rate"], how["max_seconds"])
        return audio.levelled(wave, how["level"])
    with open_blob(blob, video.MAX_FILE_BYTES) as file:
        return clips.decode_clip(file, frames=how["frames"], size=None, mode="rgb", max_seconds=how["max_seconds"])


def _texts(modality: TextModality, table: Table) -> Samples:
    reading = text.read_texts([table.columns[name] for name in modality.text_columns])
    bad = {problem.row for problem in reading.problems}
    digests = [b"" if row in bad else text.digest_of(str(words)) for row, words in enumerate(reading.raw)]
    return Samples(digests, reading.problems, lambda row: str(reading.raw[row]))


def _of_all_rows(bad: Sequence[RowProblem], digests: Sequence[bytes]) -> Iterator[RowProblem]:
    """Rows with the same bytes share their problem: only the first of them was looked at."""
    by_digest = {digests[problem.row]: problem for problem in bad}
    for row, digest in enumerate(digests):
        if digest and digest in by_digest:
            yield RowProblem(row, by_digest[digest].code, by_digest[digest].detail)
