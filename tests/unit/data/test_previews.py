"""What previews make of values: series thinned out, thumbnails, and previewers that come and go."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.blobs import BytesBlob
from core.data.previews.pictures import picture_of
from core.data.previews.previewer import Previewer, Shelved
from core.data.previews.series import thinned, told_series, told_vector
from core.errors import DataError
from core.spec.data import ImageModality
from core.spec.registration import DatasetRegistration
from tests.unit.data.builders import png, table_rows, table_spec, write_csv

IMAGE = ImageModality(type="image", name="i", column="c")


def test_a_short_series_is_whole() -> None:
    assert thinned(np.array([3.0, 1.0, 2.0])) == ([0, 1, 2], [3.0, 1.0, 2.0])


def test_a_long_series_keeps_its_peaks() -> None:
    values = np.zeros(100_000)
    values[31_415], values[92_653] = 5.0, -7.0
    steps, kept = thinned(values)
    assert len(steps) <= 200
    assert steps == sorted(set(steps))
    assert (kept[steps.index(31_415)], kept[steps.index(92_653)]) == (5.0, -7.0)


def test_what_is_not_finite_is_null() -> None:
    assert thinned(np.array([1.0, np.nan, np.inf])) == ([0, 1, 2], [1.0, None, None])
    steps, kept = thinned(np.array([np.nan, np.nan, np.nan, 1.0, np.inf, 3.0]), most=4)
    assert (steps, kept) == ([0, 3, 5], [None, 1.0, 3.0])
    assert told_vector([3.0, np.nan, 4.0]) == {
        "length": 3,
        "values": [3.0, None, 4.0],
        "min": 3.0,
        "max": 4.0,
        "norm": 5.0,
    }


def test_series_of_many_channels() -> None:
    told = told_series(np.zeros((5, 40)))
    assert (told["shape"], len(told["series"])) == ([5, 40], 12)
    assert told_series(np.arange(3.0))["series"] == [{"steps": [0, 1, 2], "values": [0.0, 1.0, 2.0]}]


@pytest.mark.parametrize(("sides", "wanted"), [((8, 4), (32, 64)), ((1, 2), (16, 8)), ((200, 1000), (256, 51))])
def test_sides_of_thumbnails(sides: tuple[int, int], wanted: tuple[int, int]) -> None:
    raw = picture_of(BytesBlob(png(np.zeros(sides, dtype=np.uint8))), IMAGE)
    with Image.open(io.BytesIO(raw)) as picture:
        assert picture.size == wanted


def test_sixteen_bits_are_scaled() -> None:
    raw = picture_of(BytesBlob(png(np.full((128, 128), 515, dtype=np.uint16))), IMAGE)
    with Image.open(io.BytesIO(raw)) as picture:
        assert picture.getpixel((0, 0)) == 2


@pytest.fixture
def previewer() -> Iterator[Previewer]:
    made = Previewer(processes=1, seconds=30.0, memory_bytes=2**31)
    yield made
    made.close()


def shelved(root: Path) -> Shelved:
    write_csv(root / "t.csv", table_rows())
    registration = DatasetRegistration.model_validate({"dataset": table_spec()})
    return Shelved(id="ds_1", registration=registration.resolved(), roots={"data": root})


def test_one_that_ended_while_nobody_asked_is_replaced(previewer: Previewer, root: Path) -> None:
    data = shelved(root)
    first = previewer.rows(data, part=None, name=None, after=None, limit=3)
    (process,) = previewer._idle
    process._process.kill()
    process._process.wait()
    assert previewer.rows(data, part=None, name=None, after=None, limit=3) == first
    assert previewer._idle != [process]


def test_a_spec_that_it_cannot_read_is_told(previewer: Previewer, root: Path) -> None:
    bad = Shelved(id="ds_2", registration={"dataset": {}}, roots={"data": root})
    with pytest.raises(DataError) as raised:
        previewer.rows(bad, part=None, name=None, after=None, limit=3)
    assert raised.value.code == "preview.failed"


def test_what_the_service_is_told_by_its_environment_stays_with_it(
    previewer: Previewer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GBLEND_DATABASE__URL", "sqlite:///secret")
    previewer.rows(shelved(root), part=None, name=None, after=None, limit=1)
    (process,) = previewer._idle
    environment = Path(f"/proc/{process._process.pid}/environ").read_bytes()
    assert b"secret" not in environment
    assert b"OMP_NUM_THREADS" in environment
