"""WAV and FLAC files to log-mel spectrograms `[1, mels, frames]`.

Channels are averaged, other sample rates resampled (soxr, high quality), and nothing beyond `max_seconds` is ever
decoded. The frames are those of the longest training clip; shorter clips are followed by silence, longer ones are
cropped. Standardisation is fitted on the training part, silence included.
"""

from __future__ import annotations

import io
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from core.data.blobs import Blob, blob_of, open_blob
from core.data.modalities.base import (
    Floats,
    Raw,
    Reading,
    State,
    contiguous,
    guard_store,
    moments,
    rows_at_once,
)
from core.data.modalities.files import Decoded, Files, InTurn, Recipe, decoded, numbered
from core.data.modalities.logmel import SILENCE, LogMel
from core.data.modalities.space import Shelf, Space
from core.data.problems import RowProblem, SampleError
from core.data.table import Rows
from core.errors import Issue
from core.spec.data import AudioPreprocess

if TYPE_CHECKING:
    from soundfile import SoundFile

MAX_FILE_BYTES = 2 * 2**30
MAX_CHANNELS = 32
MIN_RATE, MAX_RATE = 1000, 768_000
_FORMATS = ("WAV", "WAVEX", "RF64", "FLAC")
_MAGIC = (b"RIFF", b"RF64", b"fLaC")
_BLOCK = 2**18
_MOST_CHUNKS = 4096
_LOUDEST = 1e9
_LEVEL_RMS = 0.1
_SILENT_RMS = 1e-6
_UNKNOWN_LENGTH = 2**62


def read_sounds(
    blobs: Sequence[Blob | None], preprocess: AudioPreprocess, files: Files | None = None, space: Space | None = None
) -> Reading:
    """Decode every file to its own `[mels, frames]`; `None` stands for rows known to be bad."""
    transform = LogMel.of(preprocess.sample_rate, preprocess.mels, preprocess.window_ms, preprocess.hop_ms)
    recipe = {
        "type": "audio",
        "sample_rate": preprocess.sample_rate,
        "max_seconds": preprocess.max_seconds,
        "level": preprocess.level,
        **{name: getattr(transform, name) for name in ("mels", "window", "hop", "n_fft")},
    }
    reading = Reading(np.empty(len(blobs), dtype=object), digests=[b""] * len(blobs))
    rates = np.zeros(len(blobs), dtype=np.int64)
    shelf = Shelf(space or Space(), "sounds", "set a smaller preprocess.max_seconds, fewer mels or a longer hop_ms")
    for row, found in (files or InTurn(decode_file)).each(recipe, numbered(blobs)):
        reading.digests[row] = found.digest
        if found.error is not None:
            reading.problems.append(RowProblem.of(row, found.error))
        elif found.values is not None:
            rates[row] = found.rate
            reading.raw[row] = shelf.keep(found.values)
    reading.problems.sort(key=lambda problem: problem.row)
    reading.warnings.extend(rate_warnings(Counter(rates[rates > 0].tolist()), preprocess.sample_rate))
    return reading


def decode_file(blob: Blob, recipe: Recipe) -> Decoded:
    """One file of a data set, `[mels, frames]`, and the file's own samples a second."""

    def spectrogram(file: BinaryIO) -> tuple[Raw, int]:
        wave, rate = decode_sound(file, recipe["sample_rate"], recipe["max_seconds"])
        return _transform_of(recipe)(levelled(wave, recipe["level"])), rate

    return decoded(blob, MAX_FILE_BYTES, spectrogram)


def decode_sound(file: IO[bytes], sample_rate: int, max_seconds: float) -> tuple[NDArray[np.float32], int]:
    """One clip as mono samples in -1..1 at `sample_rate`, cropped to `max_seconds`, and the file's own rate.

    Raises SampleError. Reads in blocks, so that a header that lies about the length costs nothing.
    """
    import soxr

    with opened_sound(file) as sound:
        rate, wave = int(sound.samplerate), _mono(sound, max_seconds)
    if len(wave) == 0:
        raise SampleError("file.undecodable", "it holds no samples")
    if rate != sample_rate:
        wave = soxr.resample(wave, rate, sample_rate, quality="HQ")
    wave = wave[: max(1, round(max_seconds * sample_rate))]
    if len(wave) == 0:
        raise SampleError("file.undecodable", f"it is too short for {sample_rate} samples a second")
    return wave, rate


@contextmanager
def opened_sound(file: IO[bytes]) -> Iterator[SoundFile]:
    """The sound with its header read, of a format, rate and channels that are decoded, and whole by its own account.

    Raises SampleError, for what libsndfile raises inside of the block too.
    """
    import soundfile

    magic = file.read(12)
    if not magic.startswith(_MAGIC):
        raise SampleError("file.format", "not a WAV or FLAC")
    if magic.startswith(b"RIFF"):
        _check_length_of_wav(file)
    file.seek(0)
    try:
        with soundfile.SoundFile(file) as sound:
            _check_header(sound)
            yield sound
    except soundfile.SoundFileError as error:
        raise SampleError("file.undecodable", getattr(error, "error_string", None) or "not a readable sound") from error


def seconds_of(sound: SoundFile) -> float | None:
    """How long the header says that it is; None where it does not know (a stream that was never finished)."""
    frames = int(sound.frames)
    return frames / int(sound.samplerate) if frames < _UNKNOWN_LENGTH else None


def decode_sound_of(source: Path | bytes, state: State) -> Raw:
    """One new sample's spectrogram, decoded as the training's were. Raises SampleError."""
    with open_blob(blob_of(source), MAX_FILE_BYTES) as file:
        wave, _ = decode_sound(file, state["sample_rate"], state["max_seconds"])
        wave = levelled(wave, state["level"])
    raw = np.empty(1, dtype=object)
    raw[0] = _transform_of(state)(wave)
    return raw


def levelled(wave: NDArray[np.float32], level: str) -> NDArray[np.float32]:
    """With `rms`, the clip `[samples]` scaled to a root mean square of 0.1 (-20 dB); digital silence stays as it is."""
    if level != "rms":
        return wave
    rms = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
    return wave if rms < _SILENT_RMS else (wave * np.float32(_LEVEL_RMS / rms))


def fit_sounds(raw: Raw, train: Rows, preprocess: AudioPreprocess) -> State:
    """The number of frames (the longest training clip's) and the standardisation of the training part."""
    transform = LogMel.of(preprocess.sample_rate, preprocess.mels, preprocess.window_ms, preprocess.hop_ms)
    frames = max(raw[row].shape[1] for row in train)
    mean, deviation = np.zeros(transform.mels), np.ones(transform.mels)
    if preprocess.standardise == "per_band":
        mean, deviation = moments(_band_chunks(raw, train, frames))
    elif preprocess.standardise == "global":
        one_mean, one_deviation = moments(chunk.reshape(-1, 1) for chunk in _band_chunks(raw, train, frames))
        mean, deviation = mean + one_mean, deviation * one_deviation
    return {
        "type": "audio",
        "sample_rate": preprocess.sample_rate,
        "max_seconds": preprocess.max_seconds,
        "level": preprocess.level,
        "mels": transform.mels,
        "window": transform.window,
        "hop": transform.hop,
        "n_fft": transform.n_fft,
        "frames": frames,
        "mean": mean.tolist(),
        "std": deviation.tolist(),
    }


def encode_sounds(raw: Raw, state: State) -> Floats:
    """Spectrograms of any length to standardised `[n, 1, mels, frames]`."""
    guard_store(len(raw) * state["mels"] * state["frames"] * 4, "sounds", "set a smaller preprocess.max_seconds")
    out = _padded(raw, state["frames"])
    out -= np.asarray(state["mean"], dtype=np.float32)[:, None]
    out /= np.asarray(state["std"], dtype=np.float32)[:, None]
    return contiguous(out[:, None])


def _padded(raw: Raw, frames: int) -> Floats:
    out = np.full((len(raw), len(raw[0]), frames), SILENCE, dtype=np.float32)
    for row, spectrogram in enumerate(raw):
        length = min(frames, spectrogram.shape[1])
        out[row, :, :length] = spectrogram[:, :length]
    return out


def _band_chunks(raw: Raw, rows: Rows, frames: int) -> Iterator[NDArray[Any]]:
    step = rows_at_once(len(raw[rows[0]]) * frames)
    for start in range(0, len(rows), step):
        padded = _padded(raw[rows[start : start + step]], frames)
        yield padded.transpose(0, 2, 1).reshape(-1, padded.shape[1])


def _check_header(sound: SoundFile) -> None:
    rate, channels = int(sound.samplerate), int(sound.channels)
    if sound.format not in _FORMATS:
        raise SampleError("file.format", f"{sound.format} is not read")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise SampleError("file.undecodable", f"{rate} samples a second; {MIN_RATE} to {MAX_RATE} are read")
    if channels > MAX_CHANNELS:
        raise SampleError("file.too_large", f"{channels} channels; at most {MAX_CHANNELS} are read")


def _mono(sound: SoundFile, max_seconds: float) -> NDArray[np.float32]:
    rate, channels = int(sound.samplerate), int(sound.channels)
    claimed = int(sound.frames)
    wanted = min(claimed, max(1, round(max_seconds * rate)))
    blocks: list[NDArray[np.float32]] = []
    read = 0
    while read < wanted:
        block = sound.read(min(_BLOCK, wanted - read), dtype="float32", always_2d=True)
        if len(block) == 0:
            break
        unusable = ~(np.abs(block) <= _LOUDEST)
        if unusable.any():
            place, channel = np.argwhere(unusable)[0]
            raise SampleError("value.not_finite", f"{block[place, channel]} at sample {read + place}")
        blocks.append(block[:, 0] if channels == 1 else block.mean(axis=1, dtype=np.float32))
        read += len(block)
    if read < wanted and claimed < _UNKNOWN_LENGTH:
        raise SampleError("file.truncated", f"it ends after {read} of {claimed} samples")
    return np.concatenate(blocks) if blocks else np.empty(0, dtype=np.float32)


def _check_length_of_wav(file: IO[bytes]) -> None:
    """Refuse a WAV that was cut off: libsndfile reads what is left of it without a word."""
    end = file.seek(0, io.SEEK_END)
    place = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(place)
        if place + 8 > end:
            return
        name, size = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            # Programs that write to a pipe cannot go back and fill the length in: 0 or the largest number.
            if size < 0x7FFFF000 and place + 8 + size > end:
                raise SampleError("file.truncated", f"it holds {end - place - 8} of {size} bytes of sound")
            return
        place += 8 + size + (size & 1)


def _transform_of(state: State) -> LogMel:
    return _transform(state["sample_rate"], state["mels"], state["window"], state["hop"], state["n_fft"])


@lru_cache(maxsize=8)
def _transform(sample_rate: int, mels: int, window: int, hop: int, n_fft: int) -> LogMel:
    """Kept, as its filters are made once and every file needs them."""
    return LogMel(sample_rate, mels, window, hop, n_fft)


def rate_warnings(rates: Counter[int], sample_rate: int) -> list[Issue]:
    """What is odd about the files' sample rates (hertz -> files)."""
    found: list[Issue] = []
    if len(rates) > 1:
        shown = tuple(f"{rate} Hz: {count} files" for rate, count in rates.most_common(5))
        found.append(
            Issue(
                code="audio.mixed_sample_rates",
                severity="warning",
                detail=f"the files have {len(rates)} different sample rates; all are resampled to {sample_rate} Hz",
                hint="recordings of different rates differ in bandwidth, which a model may learn instead of the sound",
                count=len(rates),
                examples=shown,
            )
        )
    low = sum(count for rate, count in rates.items() if rate < sample_rate)
    if low:
        rate = max(rates)
        found.append(
            Issue(
                code="audio.upsampled",
                severity="warning",
                detail=f"{low} files have fewer than {sample_rate} samples a second: their upper mel bands are empty",
                hint=f"set preprocess.sample_rate to {min(rate, sample_rate)}" if rate < sample_rate else None,
                count=low,
            )
        )
    return found
