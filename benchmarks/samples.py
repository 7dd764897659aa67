"""Synthetic samples of every type for `benchmarks.data`, with the loop that decodes them and does nothing else."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.modalities.logmel import LogMel

RATE, FRAMES = 16000, 8
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """A data set in a folder."""

    count: int
    spec: dict[str, Any]
    """A job's; beside the type there is one column of numbers, as a data set needs two modalities."""
    bare: Callable[[], object]
    """Decodes all of them."""
    is_media: bool = False


def make(kind: str, folder: Path) -> Samples:
    """Writes the samples of a type; `kind` is one of KINDS."""
    return KINDS[kind](folder, np.random.default_rng(7))


def _media(folder: Path, modality: dict[str, Any], names: list[str], decode: Callable[[Path], object]) -> Samples:
    spec = _table(folder, modality | {"column": "file"}, "file", names)
    paths = [folder / name for name in names]
    return Samples(count=len(names), spec=spec, bare=lambda: [decode(path) for path in paths], is_media=True)


def _table(folder: Path, modality: dict[str, Any], column: str, values: list[str]) -> dict[str, Any]:
    with (folder / "t.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([column, "label", "x"])
        table.writerows([value, "ab"[row % 2], row % 7] for row, value in enumerate(values))
    numbers = {"type": "tabular", "name": "numbers", "columns": [{"name": "x", "type": "number"}]}
    return _spec({"type": "manifest", "uri": "data://t.csv"}, [modality, numbers])


def _spec(source: dict[str, Any], modalities: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "dataset": {"source": source, "target": {"column": "label"}, "modalities": modalities},
        "blending": {"strategy": "naive"},
        "training": {"batch_size": 32},
    }


def _images(folder: Path, rng: np.random.Generator) -> Samples:
    """3000 JPEGs of 160 x 160 pixels."""
    from PIL import Image

    names = [f"{row}.jpg" for row in range(3000)]
    for name in names:
        coarse = Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8))
        coarse.resize((160, 160), Image.Resampling.BICUBIC).save(folder / name, quality=90)

    def decode(path: Path) -> NDArray[np.uint8]:
        with Image.open(path) as image:
            return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))

    return _media(folder, {"type": "image", "name": "image"}, names, decode)


def _sounds(folder: Path, rng: np.random.Generator) -> Samples:
    """1500 FLACs of 2 s at 16 kHz, to log-mel spectrograms."""
    import soundfile

    names = [f"{row}.flac" for row in range(1500)]
    for name in names:
        soundfile.write(folder / name, 0.1 * rng.normal(size=2 * RATE), RATE)
    transform = LogMel.of(RATE, 64, 25.0, 10.0)

    def decode(path: Path) -> NDArray[np.float32]:
        return transform(soundfile.read(path, dtype="float32")[0])

    return _media(folder, {"type": "audio", "name": "audio"}, names, decode)


def _videos(folder: Path, rng: np.random.Generator) -> Samples:
    """400 MP4s of 32 frames of 96 x 96 pixels, of which every fourth is kept."""
    import av

    names = [f"{row}.mp4" for row in range(400)]
    for name in names:
        ground = rng.integers(0, 200, (96, 96, 3), dtype=np.uint8)
        with av.open(str(folder / name), "w") as file:
            stream: Any = file.add_stream("mpeg4", rate=16)
            stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
            for shift in range(32):
                frame = av.VideoFrame.from_ndarray(np.roll(ground, shift, axis=1), format="rgb24")
                file.mux(stream.encode(frame))
            file.mux(stream.encode())

    def decode(path: Path) -> NDArray[np.uint8]:
        with av.open(str(path)) as file:
            file.streams.video[0].codec_context.thread_count = 1
            shown = [frame for index, frame in enumerate(file.decode(video=0)) if index % (32 // FRAMES) == 2]
            return np.stack([frame.to_ndarray(format="rgb24").transpose(2, 0, 1) for frame in shown])

    return _media(folder, {"type": "video", "name": "video", "preprocess": {"frames": FRAMES}}, names, decode)


def _texts(folder: Path, rng: np.random.Generator) -> Samples:
    """5000 texts of 60 words, to the codes of a vocabulary."""
    words = [f"word{number}" for number in range(3000)]
    texts = [" ".join(words[int(each)] for each in rng.zipf(1.3, 60) % 3000) for _ in range(5000)]
    spec = _table(folder, {"type": "text", "name": "text", "column": "text"}, "text", texts)

    def bare() -> NDArray[np.float32]:
        codes: dict[str, int] = {}
        out = np.zeros((len(texts), 60), dtype=np.float32)
        for row, cells in enumerate(_rows(folder)):
            found = _WORD.findall(unicodedata.normalize("NFKC", cells[0]).casefold())
            out[row] = [codes.setdefault(word, len(codes)) for word in found]
        return out

    return Samples(count=len(texts), spec=spec, bare=bare)


def _numbers(folder: Path, rng: np.random.Generator) -> Samples:
    """20,000 rows of eight numbers in a csv."""
    columns = [f"n{number}" for number in range(8)]
    values = rng.normal(size=(20_000, 8)).round(4)
    with (folder / "t.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([*columns, "label"])
        table.writerows([*row, "ab"[place % 2]] for place, row in enumerate(values.tolist()))
    modalities = [
        {"type": "tabular", "name": name, "columns": [{"name": column, "type": "number"} for column in some]}
        for name, some in (("one", columns[:4]), ("other", columns[4:]))
    ]

    def bare() -> NDArray[np.float32]:
        return np.array([[float(cell) for cell in cells[:8]] for cells in _rows(folder)], dtype=np.float32)

    return Samples(count=len(values), spec=_spec({"type": "manifest", "uri": "data://t.csv"}, modalities), bare=bare)


def _arrays(folder: Path, rng: np.random.Generator, modality: dict[str, Any], shape: tuple[int, ...]) -> Samples:
    rows = np.arange(shape[0])
    np.savez(folder / "a.npz", values=rng.normal(size=shape).astype(np.float32), label=rows % 2, x=rows[:, None] % 7.0)
    other = {"type": "embedding", "name": "other", "column": "x"}
    spec = _spec({"type": "arrays", "uri": "data://a.npz"}, [modality | {"column": "values"}, other])

    def bare() -> NDArray[np.float32]:
        with np.load(folder / "a.npz") as arrays:
            values: NDArray[np.float32] = arrays["values"]
        standardised: NDArray[np.float32] = (values - values.mean(axis=0)) / values.std(axis=0)
        return standardised

    return Samples(count=shape[0], spec=spec, bare=bare)


def _series(folder: Path, rng: np.random.Generator) -> Samples:
    """5000 series of 100 steps and 4 channels."""
    modality = {"type": "timeseries", "name": "series", "shape": [100, 4]}
    return _arrays(folder, rng, modality, (5000, 100, 4))


def _vectors(folder: Path, rng: np.random.Generator) -> Samples:
    """20,000 vectors of 256 numbers."""
    return _arrays(folder, rng, {"type": "embedding", "name": "vector"}, (20_000, 256))


def _rows(folder: Path) -> Iterator[list[str]]:
    with (folder / "t.csv").open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        yield from rows


KINDS: dict[str, Callable[[Path, np.random.Generator], Samples]] = {
    "image": _images,
    "audio": _sounds,
    "video": _videos,
    "text": _texts,
    "tabular": _numbers,
    "timeseries": _series,
    "embedding": _vectors,
}
