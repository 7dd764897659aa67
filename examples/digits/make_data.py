"""Make the demo's data: spoken digits beside handwritten ones, row by row of the same class.

    python examples/digits/make_data.py            # needs espeak-ng (Debian: apt-get install espeak-ng)
    python examples/digits/make_data.py --check    # only compares what lies here with dataset.json

The result is committed, so nobody has to run this to see the demo. It is deterministic: the same seed and the same
versions of espeak-ng, soxr and libsndfile give the same bytes; `dataset.json` names them and holds the digests.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

TRAIN_VOICES = ("en-gb+m1", "en-us+f2", "en-gb-scotland+m3", "en-029+f4")
TEST_VOICES = ("en-gb-x-gbcwmd+f3", "en-029+m4", "en-us+klatt2", "en-gb-scotland+m2")
"""espeak-ng voices, accent + speaker. No speaker of the test is heard in training; one accent is new as well."""
TAKES = {"train": 28, "test": 14}
"""How often each voice says each digit."""

WORDS_PER_MINUTE = (160, 240)
PITCH = (20, 80)
"""espeak-ng's scale of 0 to 99."""
SIGNAL_TO_NOISE_DB = (0.0, 15.0)
SPEECH_RMS = 0.12
SAMPLE_RATE = 8000
SECONDS = 0.6
"""The microphone is on for so long, and the word falls anywhere in it."""
LEVELS = 128
"""Amplitudes that are kept: 7 bits, so that the whole set stays small."""

PIXEL_NOISE = 3.0
"""Standard deviation, in the 17 grey levels (0 to 16) of the UCI digits: a cheap scanner."""

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clip:
    """One take of one digit by one voice; `key` seeds its noise, whatever the order of synthesis."""

    voice: str
    split: str
    digit: int
    take: int
    key: tuple[int, ...]

    @property
    def path(self) -> str:
        return f"audio/{self.digit}-{self.voice.replace('+', '-')}-{self.take:02d}.flac"


def clips(seed: int) -> Iterator[Clip]:
    """Every clip of the data set, train before test, in the order of the manifest."""
    for split, voices in (("train", TRAIN_VOICES), ("test", TEST_VOICES)):
        for number, voice in enumerate(voices):
            for digit in range(10):
                for take in range(TAKES[split]):
                    yield Clip(voice, split, digit, take, (seed, int(split == "test"), number, digit, take))


def synthesise(voice: str, word: str, words_per_minute: int, pitch: int) -> Samples:
    """What espeak-ng says, without the silence around it, at 8 kHz; at most `SECONDS`."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        options = ["-v", voice, "-s", str(words_per_minute), "-p", str(pitch), "-w", file.name]
        subprocess.run(["espeak-ng", *options, word], check=True)
        sound, rate = soundfile.read(file.name, dtype="float32")
    sound = soxr.resample(sound, rate, SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
    spoken = sound[loud[0] : loud[-1] + 1]
    return np.asarray(spoken[: int(SECONDS * SAMPLE_RATE)], dtype=np.float32)


def record(clip: Clip) -> Samples:
    """One noisy take: speed, pitch, position and loudness of the noise are drawn for it alone."""
    rng = np.random.default_rng(clip.key)
    word = synthesise(clip.voice, WORDS[clip.digit], int(rng.integers(*WORDS_PER_MINUTE)), int(rng.integers(*PITCH)))
    word = word * (SPEECH_RMS / np.sqrt(np.mean(word**2)))
    room = int(SECONDS * SAMPLE_RATE) - len(word)
    start = int(rng.integers(0, room + 1))
    take = np.pad(word, (start, room - start))
    noise_rms = SPEECH_RMS * 10 ** (-rng.uniform(*SIGNAL_TO_NOISE_DB) / 20)
    take = take + rng.normal(scale=noise_rms, size=len(take))
    half = LEVELS // 2
    coarse = np.clip(np.rint(take * half), -half, half - 1) / half
    return np.asarray(coarse, dtype=np.float32)


def scan(grey: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """An 8x8 digit as a cheap scanner sees it: grey levels 0-16 become 64-192, noise uses the rest of the range."""
    noisy = grey + rng.normal(scale=PIXEL_NOISE, size=grey.shape)
    return np.clip(np.rint(64 + 8 * noisy), 0, 255).astype(np.uint8)


def write_audio(folder: Path, seed: int) -> None:
    """Synthesise every clip, as 8-bit FLAC."""

    def write(clip: Clip) -> None:
        soundfile.write(folder / clip.path, record(clip), SAMPLE_RATE, format="FLAC", subtype="PCM_S8")

    (folder / "audio").mkdir()
    with ThreadPoolExecutor() as pool:
        list(pool.map(write, clips(seed)))


def write_images(folder: Path, seed: int) -> dict[int, list[str]]:
    """Scan every UCI digit; returns class -> image paths, shuffled. Each image is used by one row at most."""
    digits = load_digits()
    rng = np.random.default_rng((seed, 2))
    (folder / "image").mkdir()
    paths: dict[int, list[str]] = {digit: [] for digit in range(10)}
    for index in rng.permutation(len(digits.images)):
        path = f"image/{index:04d}.png"
        paths[int(digits.target[index])].append(path)
        Image.fromarray(scan(digits.images[index], rng)).save(folder / path, optimize=True)
    return paths


def write_manifest(folder: Path, images: dict[int, list[str]], seed: int) -> None:
    """Pair each clip with an image of its class that no other row has; images left over are removed."""
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["id", "label", "speaker", "split", "audio", "image"])
        for number, clip in enumerate(clips(seed)):
            image = images[clip.digit].pop()
            table.writerow([f"digit-{number:04d}", clip.digit, clip.voice, clip.split, clip.path, image])
    for path in (path for left in images.values() for path in left):
        (folder / path).unlink()


def digests(folder: Path) -> dict[str, str]:
    """sha256 of the manifest, and of the sorted list of (name, sha256) of each media folder."""

    def listing(name: str) -> bytes:
        files = sorted((folder / name).iterdir())
        return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files).encode()

    return {
        "manifest.csv": hashlib.sha256((folder / "manifest.csv").read_bytes()).hexdigest(),
        "audio": hashlib.sha256(listing("audio")).hexdigest(),
        "image": hashlib.sha256(listing("image")).hexdigest(),
    }


def statistics(folder: Path) -> dict[str, Any]:
    """What the README and the tests say about the set, counted from the files."""
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    seconds = sum(soundfile.info(folder / row["audio"]).duration for row in rows)
    media = [file for name in ("audio", "image") for file in (folder / name).iterdir()]
    return {
        "rows": len(rows),
        "rows_by_split": dict(sorted(Counter(row["split"] for row in rows).items())),
        "rows_by_speaker": dict(sorted(Counter(row["speaker"] for row in rows).items())),
        "rows_by_label": dict(sorted(Counter(row["label"] for row in rows).items())),
        "speech_seconds": round(seconds, 1),
        "media_files": len(media),
        "media_bytes": sum(file.stat().st_size for file in media),
    }


def describe(folder: Path, seed: int) -> dict[str, Any]:
    """The content of `dataset.json`."""
    espeak = subprocess.run(["espeak-ng", "--version"], check=True, capture_output=True, text=True).stdout
    made_with = {
        "espeak-ng": espeak.split(": ")[1].split()[0],
        "soxr": soxr.__version__,
        "libsndfile": soundfile.__libsndfile_version__,
    }
    return {"seed": seed, "made_with": made_with, "statistics": statistics(folder), "sha256": digests(folder)}


def make(seed: int) -> None:
    """Build everything in a temporary folder, then put it in place."""
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        folder = Path(name)
        write_audio(folder, seed)
        write_manifest(folder, write_images(folder, seed), seed)
        (folder / "dataset.json").write_text(json.dumps(describe(folder, seed), indent=2) + "\n")
        for part in ("audio", "image"):
            shutil.rmtree(HERE / part, ignore_errors=True)
        for part in ("audio", "image", "manifest.csv", "dataset.json"):
            (folder / part).replace(HERE / part)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make or check the demo's data set.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="compare the files with dataset.json and write nothing")
    arguments = parser.parse_args()
    if not arguments.check:
        if shutil.which("espeak-ng") is None:
            print("make_data: espeak-ng is missing (Debian: apt-get install espeak-ng)", file=sys.stderr)
            return 2
        make(arguments.seed)
    expected = json.loads((HERE / "dataset.json").read_text())["sha256"]
    found = digests(HERE)
    for part in expected:
        print(f"{part}: {'as recorded' if found[part] == expected[part] else 'DIFFERS from dataset.json'}")
    return 0 if found == expected else 1


if __name__ == "__main__":
    sys.exit(main())
