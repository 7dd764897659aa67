"""Decoding in other processes gives what this one would give, and survives what this one would not."""

from __future__ import annotations

import io
import os
import signal
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.blobs import Blob, BytesBlob, FileBlob
from core.data.dataset import PreparedData, prepare
from core.data.decoding.frames import Frames, frame
from core.data.decoding.pool import FEWEST_FILES, DecoderPool
from core.data.loading import Loading
from core.data.modalities.audio import read_sounds
from core.data.modalities.base import Reading
from core.data.modalities.image import read_images
from core.data.modalities.video import read_videos
from core.data.sources.spans import SpanBlob
from core.errors import DataError
from core.spec.data import AudioPreprocess, ImagePreprocess, VideoPreprocess
from tests.hostile_media import setting_traps
from tests.unit.data.builders import clip_spec, clips, grey, job, png, tone, wav, write_csv
from tests.unit.data.test_clips import clip

ENOUGH = 60.0
IMAGE = {"type": "image", "mode": "auto", "size": None}


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    """Two decoders, for tests in which none dies."""
    with DecoderPool(2, ENOUGH) as made:
        yield made


@pytest.fixture
def traps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that decoders started from now on do not survive."""
    monkeypatch.setenv("PYTHONPATH", setting_traps(tmp_path / "traps"))


def same(found: Reading, wanted: Reading) -> None:
    assert [(each.row, each.code, each.detail) for each in found.problems] == [
        (each.row, each.code, each.detail) for each in wanted.problems
    ]
    assert found.digests == wanted.digests
    assert found.warnings == wanted.warnings
    assert found.raw.dtype == wanted.raw.dtype
    assert found.raw.shape == wanted.raw.shape
    for one, other in zip(found.raw, wanted.raw, strict=True):
        assert (one is None and other is None) or np.array_equal(one, other)


def greys(folder: Path, names: list[str]) -> list[Blob | None]:
    """A PNG for each name; the value of a pixel is its row."""
    folder.mkdir(exist_ok=True)
    for value, name in enumerate(names):
        (folder / name).write_bytes(grey(value))
    return [FileBlob(folder / name) for name in names]


def test_images_with_all_that_can_be_wrong(pool: DecoderPool, tmp_path: Path) -> None:
    rgb = png(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    sixteen = png(np.full((4, 4), 515, dtype=np.uint16))
    files = [b"junk", b"", grey(3), rgb, grey(1, (2, 2)), sixteen, grey(9)[:40], *(grey(i) for i in range(50))]
    blobs: list[Blob | None] = [None, *(BytesBlob(raw) for raw in files), FileBlob(tmp_path / "none.png")]
    wanted = read_images(blobs, ImagePreprocess())
    assert [problem.row for problem in wanted.problems] == [1, 2, 5, 7, 58]
    same(read_images(blobs, ImagePreprocess(), pool), wanted)
    # Settled by the first that can be decoded, in another process as well.
    assert read_images(blobs, ImagePreprocess(), pool).raw.shape == (59, 1, 4, 4)


def test_sounds_of_two_rates_from_the_members_of_a_shard(pool: DecoderPool, tmp_path: Path) -> None:
    files = [wav(tone(200.0 + 50 * i, 0.05 + 0.01 * (i % 3), rate), rate) for i, rate in enumerate([8000, 16000] * 12)]
    files[7] = files[7][:-100]
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for index, raw in enumerate(files):
            member = tarfile.TarInfo(f"{index}.wav")
            member.size = len(raw)
            shard.addfile(member, io.BytesIO(raw))
    with tarfile.open(tmp_path / "shard.tar") as shard:
        blobs = [SpanBlob(tmp_path / "shard.tar", member.offset_data, member.size) for member in shard.getmembers()]
    preprocess = AudioPreprocess(sample_rate=16000, mels=16, level="rms")
    wanted = read_sounds(blobs, preprocess)
    assert [problem.code for problem in wanted.problems] == ["file.truncated"]
    assert [warning.code for warning in wanted.warnings] == ["audio.mixed_sample_rates", "audio.upsampled"]
    same(read_sounds(blobs, preprocess, pool), wanted)


def test_videos(pool: DecoderPool) -> None:
    blobs = [BytesBlob(raw) for raw in (clip([0, 9]), b"junk", *(clip([k, 2 * k]) for k in range(1, 20)))]
    same(read_videos(blobs, VideoPreprocess(frames=2), pool), read_videos(blobs, VideoPreprocess(frames=2)))


def test_more_than_a_pipe_holds_goes_both_ways_at_once(pool: DecoderPool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 700, 700, 3), dtype=np.uint8)
    blobs = [BytesBlob(png(pixels)) for pixels in noise]
    assert min(len(blob.content) for blob in blobs) > 2**20
    reading = read_images(blobs, ImagePreprocess(), pool)
    assert np.array_equal(reading.raw, noise.transpose(0, 3, 1, 2))


def test_whoever_loses_interest_leaves_nothing_for_the_next(pool: DecoderPool, tmp_path: Path) -> None:
    blobs = greys(tmp_path / "media", [f"{row}.png" for row in range(100)])
    files = [(row, blob) for row, blob in enumerate(blobs) if blob is not None]
    assert len(list(islice(pool.each(IMAGE, files), 3))) == 3
    reading = read_images(list(reversed(blobs)), ImagePreprocess(), pool)
    assert reading.raw[:, 0, 0, 0].tolist() == list(range(99, -1, -1))


def test_a_file_that_crashes_its_decoder_is_one_bad_sample(tmp_path: Path, traps: None) -> None:
    names = [f"{row}.png" for row in range(40)]
    names[0], names[17], names[18] = "crash0.png", "crash17.png", "crash18.png"
    blobs = greys(tmp_path / "media", names)
    with DecoderPool(2, ENOUGH) as pool:
        reading = read_images(blobs, ImagePreprocess(), pool)
    assert [(problem.row, problem.code, problem.detail) for problem in reading.problems] == [
        (row, "file.undecodable", "the decoder crashed (SIGSEGV)") for row in (0, 17, 18)
    ]
    assert [row for row in range(40) if reading.raw[row, 0, 0, 0] != row] == [17, 18]


def test_a_decoder_that_dies_once_costs_no_sample(tmp_path: Path, traps: None) -> None:
    names = [f"{row}.png" for row in range(20)]
    names[5] = "once.png"
    blobs = greys(tmp_path / "media", names)
    with DecoderPool(1, ENOUGH) as pool:
        reading = read_images(blobs, ImagePreprocess(), pool)
    assert (tmp_path / "media" / "once.png.crashed").exists()
    assert reading.problems == []
    assert reading.raw[:, 0, 0, 0].tolist() == list(range(20))


def test_a_file_that_never_ends_is_one_bad_sample(tmp_path: Path, traps: None) -> None:
    names = [f"{row}.png" for row in range(20)]
    names[9] = "hang.png"
    blobs = greys(tmp_path / "media", names)
    with DecoderPool(2, 1.0) as pool:
        reading = read_images(blobs, ImagePreprocess(), pool)
    assert [(problem.row, problem.code, problem.detail) for problem in reading.problems] == [
        (9, "file.too_slow", "it was not decoded within 1 s")
    ]
    assert [row for row in range(20) if reading.raw[row, 0, 0, 0] != row] == [9]


def test_what_this_installation_lacks_is_told_as_ever(
    tmp_path: Path, traps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "traps" / "av.py").write_text("raise ImportError")
    with DecoderPool(1, ENOUGH) as pool, pytest.raises(DataError) as raised:
        read_videos([BytesBlob(clip([0, 9]))], VideoPreprocess(frames=2), pool)
    assert (raised.value.code, raised.value.hint) == (
        "data.missing_library",
        "pip install 'gblend[video]', where the workers run",
    )


def test_a_decoder_that_cannot_begin_ends_the_attempt(tmp_path: Path, traps: None) -> None:
    (tmp_path / "traps" / "numpy.py").write_text("raise ImportError('this numpy is none')")
    with DecoderPool(1, ENOUGH) as pool, pytest.raises(RuntimeError, match=r"had begun \(exit status 1\)"):
        read_images([BytesBlob(grey(0))], ImagePreprocess(), pool)


def test_decoders_end_with_their_pool(tmp_path: Path) -> None:
    with DecoderPool(2, ENOUGH) as pool:
        read_images(greys(tmp_path / "media", [f"{row}.png" for row in range(40)]), ImagePreprocess(), pool)
        pids = pool.pids
        assert 1 <= len(pids) <= 2
        os.kill(pids[0], signal.SIGKILL)  # one that has nothing to do
        reading = read_images(greys(tmp_path / "media", ["a.png"]), ImagePreprocess(), pool)
        assert reading.problems == []
        pids += pool.pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_few_files_are_not_worth_a_process() -> None:
    some: list[Blob | None] = [BytesBlob(b"")] * (FEWEST_FILES - 1)
    with DecoderPool(2, ENOUGH) as pool:
        assert pool.worth([*some, None]) is None
        assert pool.worth([*some, BytesBlob(b"")]) is pool
        assert pool.pids == []
    with DecoderPool(0, ENOUGH) as pool:
        assert pool.worth(some * 9) is None


def test_a_data_set_is_the_same_by_any_number_of_processes(roots: dict[str, Path]) -> None:
    rows = clips(roots["data"] / "clips", n=96)
    for name in ("3.png", "50.png", "70.wav"):
        (roots["data"] / "clips" / name).write_bytes(b"junk")
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    spec = job(clip_spec(on_bad_sample={"action": "drop", "max_fraction": 0.1}))

    def prepared(processes: int) -> PreparedData:
        return prepare(spec, roots, Loading(processes=processes))

    one, other = prepared(0), prepared(2)
    assert (one.fingerprint, one.warnings, one.preprocessing) == (
        other.fingerprint,
        other.warnings,
        other.preprocessing,
    )
    assert len(one.sample_ids) == 93
    everything = np.arange(93)
    for name, values in one.batch(everything).items():
        assert np.array_equal(values, other.batch(everything)[name])


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_frames_come_in_pieces_of_any_size(size: int) -> None:
    sent: list[tuple[dict[str, Any], bytes]] = [({"a": 1}, b""), ({}, b"xyz" * 100), ({"b": "\udcff"}, b"0")]
    stream = b"".join(frame(header, payload) for header, payload in sent)
    frames = Frames()
    found = [each for start in range(0, len(stream), size) for each in frames.fed(stream[start : start + size])]
    assert [(header, bytes(payload)) for header, payload in found] == sent
