"""The committed demo data are what their README and their digests say. Making them needs espeak-ng and is no test."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from sklearn.datasets import load_digits

from examples.digits import make_data

DIGITS = Path(make_data.__file__).parent
Row = dict[str, str]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    with (DIGITS / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_files_are_those_that_were_recorded() -> None:
    recorded = json.loads((DIGITS / "dataset.json").read_text())
    assert make_data.digests(DIGITS) == recorded["sha256"]
    assert make_data.statistics(DIGITS) == recorded["statistics"]
    assert recorded["made_with"]["espeak-ng"] == "1.51"


def test_they_stay_small() -> None:
    size = sum(file.stat().st_size for file in DIGITS.rglob("*") if file.is_file() and file.suffix != ".pyc")
    assert size < 6_000_000


def test_no_voice_is_on_both_sides(rows: list[Row]) -> None:
    voices = defaultdict(set)
    for row in rows:
        voices[row["split"]].add(row["speaker"])
    assert voices["train"] == {"en-gb+m1", "en-us+f2", "en-gb-scotland+m3", "en-029+f4"}
    assert voices["test"] == {"en-gb-x-gbcwmd+f3", "en-029+m4", "en-us+klatt2", "en-gb-scotland+m2"}
    assert {voice.partition("+")[2] for voice in voices["train"]}.isdisjoint(
        voice.partition("+")[2] for voice in voices["test"]
    )


def test_the_classes_are_balanced_in_every_voice(rows: list[Row]) -> None:
    takes = Counter((row["split"], row["speaker"], row["label"]) for row in rows)
    assert {split: {count for (part, *_), count in takes.items() if part == split} for split in ("train", "test")} == {
        "train": {28},
        "test": {14},
    }
    assert len(takes) == 80


def test_no_row_shares_its_files(rows: list[Row]) -> None:
    assert len({row["id"] for row in rows}) == len({row["audio"] for row in rows}) == 1680
    assert len({row["image"] for row in rows}) == 1680


def test_both_modalities_say_the_label(rows: list[Row]) -> None:
    targets = load_digits().target
    for row in rows:
        assert Path(row["audio"]).name.startswith(f"{row['label']}-{row['speaker'].replace('+', '-')}-")
        assert targets[int(Path(row["image"]).stem)] == int(row["label"])


def test_every_clip_is_short_mono_and_heard(rows: list[Row]) -> None:
    for row in rows[::40]:
        sound, rate = soundfile.read(DIGITS / row["audio"])
        assert (rate, sound.shape) == (8000, (4800,))
        assert 0.05 < np.sqrt(np.mean(sound**2)) < 0.5


def test_the_images_are_the_bundled_digits_with_the_documented_noise(rows: list[Row]) -> None:
    digits = load_digits()
    scanned = np.array([np.asarray(Image.open(DIGITS / row["image"])) for row in rows], dtype=float)
    assert scanned.shape == (1680, 8, 8)
    clean = np.array([digits.images[int(Path(row["image"]).stem)] for row in rows])
    noise = (scanned - 64) / 8 - clean
    assert abs(noise.mean()) < 0.02
    assert 2.9 < noise.std() < 3.05


def test_a_row_that_was_tampered_with_is_noticed(tmp_path: Path) -> None:
    for folder in ("audio", "image"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_bytes(b"1")
    (tmp_path / "manifest.csv").write_text("id\n")
    before = make_data.digests(tmp_path)
    (tmp_path / "image" / "a").write_bytes(b"2")
    after = make_data.digests(tmp_path)
    assert {part for part in before if before[part] != after[part]} == {"image"}
