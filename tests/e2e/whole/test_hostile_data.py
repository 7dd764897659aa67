"""Hostile media meet a real worker: the job fails with a name for every fault, and the worker goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.whole.service import WholeService
from tests.tiny import tiny_spec, write_tiny
from tests.unit.data.builders import grey, tone, wav
from tests.unit.data.hostile import films, pictures, sounds
from tests.unit.data.hostile.cases import NUMBERS, manifest, media, rows_with, write_rows

pytestmark = pytest.mark.timeout(300)

IMAGES = ("2.5 billion pixels of zeros", "a text of 600 MB", "GIF", "EPS", "cut off")
SOUNDS = ("a thousand channels", "two billion samples a second", "a FLAC of a year", "AIFF", "cut off")
VIDEOS = ("HLS", "concat", "a box of exabytes", "a reference movie", "four billion pixels a frame")


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[WholeService]:
    """Everything on this machine, over the tiny data set."""
    write_tiny(tmp_path)
    service = WholeService(tmp_path, environment={})
    service.start_api("up")
    yield service
    service.close()


def write_hostile(folder: Path) -> dict[str, Any]:
    """A manifest of sixteen rows, each of which has some hostile file, and the spec of a job that trains on it."""
    rows = rows_with(["-"])
    for index, (image, sound, video) in enumerate(zip(IMAGES, SOUNDS, VIDEOS, strict=True)):
        (folder / f"{index}.png").write_bytes(pictures.IMAGES[image][0])
        (folder / f"{index}.wav").write_bytes(sounds.SOUNDS[sound][0])
        (folder / f"{index}.mp4").write_bytes(films.FILMS[video][0])
    (folder / "good.png").write_bytes(grey(7))
    (folder / "good.wav").write_bytes(wav(tone(400)))
    (folder / "good.mp4").write_bytes(films.GOOD)
    for index, row in enumerate(rows):
        name = str(index) if index < len(IMAGES) else "good"
        row |= {"image": f"{name}.png", "sound": f"{name}.wav", "video": f"{name}.mp4"}
    write_rows(folder / "hostile.csv", rows)
    modalities = [
        media("image", "image") | {"name": "seen"},
        media("audio", "sound") | {"name": "heard"},
        media("video", "video") | {"name": "watched"},
    ]
    dataset = manifest("hostile.csv", NUMBERS, *modalities, on_bad_sample={"action": "error"})
    return {"name": "hostile", "dataset": dataset, "training": {"epochs": 1}}


def test_a_job_on_hostile_files_fails_by_name_and_the_worker_runs_the_next(whole: WholeService, tmp_path: Path) -> None:
    spec = write_hostile(tmp_path)
    (before,) = whole.get("/v1/workers")["data"]
    hostile, good = whole.submit(spec), whole.submit(tiny_spec(epochs=1))
    failed, done = whole.wait_until_ended(hostile, good)
    assert (failed["status"], failed["attempt"]) == ("failed", 1), "bad data are no reason to try again"
    told = {(error["pointer"], error["code"]): error["count"] for error in failed["error"]["errors"]}
    assert told == {
        ("#/dataset/modalities/1/column", "file.too_large"): 1,
        ("#/dataset/modalities/1/column", "file.undecodable"): 1,
        ("#/dataset/modalities/1/column", "file.format"): 2,
        ("#/dataset/modalities/1/column", "file.truncated"): 1,
        ("#/dataset/modalities/2/column", "file.too_large"): 1,
        ("#/dataset/modalities/2/column", "file.undecodable"): 2,
        ("#/dataset/modalities/2/column", "file.format"): 1,
        ("#/dataset/modalities/2/column", "file.truncated"): 1,
        ("#/dataset/modalities/3/column", "file.format"): 2,
        ("#/dataset/modalities/3/column", "file.truncated"): 1,
        ("#/dataset/modalities/3/column", "file.undecodable"): 2,
    }
    assert done["status"] == "succeeded"
    (after,) = whole.get("/v1/workers")["data"]
    assert [after[key] for key in ("id", "state", "busy")] == [before["id"], "alive", 0]
