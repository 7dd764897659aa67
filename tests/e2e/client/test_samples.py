"""The SDK's samples against the real API."""

from __future__ import annotations

import asyncio
import io
import wave

import pytest
from gblend_client import AsyncGblend, Conflict, Gblend, NotFound, Validation
from PIL import Image

from tests.e2e.api.live import LiveApi, toy_spec
from tests.unit.data.builders import clip_spec, clips, write_csv


@pytest.fixture
def dataset(api: LiveApi, gblend: Gblend) -> str:
    """Sounds and pictures, registered."""
    folder = api.settings.data_roots["data"] / "clips"
    write_csv(folder / "manifest.csv", clips(folder))
    return gblend.datasets.register({"dataset": clip_spec()}).id


def test_samples(gblend: Gblend) -> None:
    made = gblend.datasets.register({"dataset": toy_spec()["dataset"]})
    found = list(gblend.datasets.samples(made.id))
    assert [sample.row for sample in found] == list(range(40))
    assert found[3].values["size"]["columns"] == {"height": 3.5}
    yes = list(gblend.datasets.samples(made.id, part="test", label="yes", limit=3))
    assert {(sample.part, *sample.labels) for sample in yes} == {("test", "yes")}
    page = gblend.datasets.sample_page(made.id, after="9", limit=5)
    assert ([sample.id for sample in page.data], page.next_after) == ([f"s{n}" for n in range(10, 15)], "14")
    with pytest.raises(Validation) as caught:
        gblend.datasets.sample_page(made.id, label="maybe")
    assert caught.value.code == "dataset.unknown_class"


def test_files_seen_and_heard(gblend: Gblend, dataset: str) -> None:
    with Image.open(io.BytesIO(gblend.datasets.preview(dataset, 0, "face")), formats=["PNG"]) as picture:
        assert picture.size == (32, 32)  # 4 x 4, eight times as large
    with wave.open(io.BytesIO(gblend.datasets.sound(dataset, 0, "voice"))) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (8000, 400)
    with pytest.raises(NotFound):
        gblend.datasets.sound(dataset, 0, "face")


def test_data_that_are_gone(api: LiveApi, gblend: Gblend, dataset: str) -> None:
    (api.settings.data_roots["data"] / "clips" / "manifest.csv").unlink()
    with pytest.raises(Conflict) as caught:
        next(gblend.datasets.samples(dataset))
    assert caught.value.code == "dataset.unreadable"


def test_the_async_client_does_the_same(api: LiveApi, dataset: str) -> None:
    async def look() -> None:
        async with AsyncGblend(api.url, backoff=0.01) as gblend:
            found = [sample.row async for sample in gblend.datasets.samples(dataset, limit=3)]
            assert found == [0, 1, 2]
            assert len((await gblend.datasets.sample_page(dataset)).data) == 12
            assert (await gblend.datasets.preview(dataset, 0, "voice")).startswith(b"\x89PNG")
            assert (await gblend.datasets.sound(dataset, 0, "voice")).startswith(b"RIFF")

    asyncio.run(look())
