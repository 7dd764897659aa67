"""What the headers of media files say: sizes, lengths, rates. A sample is decoded nowhere here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO

from core.data.blobs import Blob, open_blob
from core.data.modalities import audio, image, video
from core.data.modalities.containers import container_of
from core.data.problems import RowProblem, SampleError
from core.data.remote import RemoteBlob
from core.spec.data import AudioModality, ImageModality, MediaModality


@dataclass(slots=True)
class Headers:
    """What the headers of one modality's files say, one value per file that could be read."""

    looked_at: int = 0
    measures: dict[str, list[float]] = field(default_factory=dict)
    """`bytes`; of images `width` and `height` in pixels, of sounds `seconds`."""
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """`format`; of images `mode`, of sounds `sample_rate` (hertz) and `channels`: value -> files."""
    problems: list[RowProblem] = field(default_factory=list)
    complete: bool = True
    """Whether every file was looked at."""

    def measure(self, name: str, value: float) -> None:
        """One more file's value."""
        self.measures.setdefault(name, []).append(value)

    def count(self, name: str, value: str) -> None:
        """One more file of this kind."""
        self.counts.setdefault(name, Counter())[value] += 1


def read_headers(
    modality: MediaModality, blobs: Sequence[Blob | None], *, most: int, deadline: float | None = None
) -> Headers:
    """Read the headers of at most `most` files (an even sample of the rows), until `deadline` (`time.monotonic`).

    What lies on an object store is passed over: it would have to be fetched.
    """
    found = Headers()
    step = -(-len(blobs) // most) if len(blobs) > most else 1
    for row, blob in enumerate(blobs):
        if blob is None:
            continue
        if isinstance(blob, RemoteBlob) or row % step or (deadline is not None and time.monotonic() > deadline):
            found.complete = False
            continue
        found.looked_at += 1
        try:
            _read_header(modality, blob, found)
        except SampleError as error:
            found.problems.append(RowProblem.of(row, error))
    return found


def _read_header(modality: MediaModality, blob: Blob, found: Headers) -> None:
    if isinstance(modality, ImageModality):
        with open_blob(blob, image.MAX_FILE_BYTES) as file:
            _image_header(file, found)
    elif isinstance(modality, AudioModality):
        with open_blob(blob, audio.MAX_FILE_BYTES) as file:
            _sound_header(file, found)
    else:
        with open_blob(blob, video.MAX_FILE_BYTES) as file:
            # FFmpeg would read the length of a clip from more than its first bytes; that is the worker's.
            found.count("format", container_of(file))
    found.measure("bytes", blob.size())


def _image_header(file: IO[bytes], found: Headers) -> None:
    with image.opened_image(file) as opened:
        width, height, mode, kind = opened.width, opened.height, opened.mode, opened.format
    found.measure("width", width)
    found.measure("height", height)
    found.count("mode", mode)
    found.count("format", str(kind))


def _sound_header(file: IO[bytes], found: Headers) -> None:
    with audio.opened_sound(file) as opened:
        seconds = audio.seconds_of(opened)
        rate, channels, kind = int(opened.samplerate), int(opened.channels), str(opened.format)
    if seconds is not None:
        found.measure("seconds", seconds)
    found.count("sample_rate", str(rate))
    found.count("channels", str(channels))
    found.count("format", kind)
