"""PNG and JPEG: pixels with known numbers, and every way in which a file can be bad."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from core.data.blobs import Blob, FileBlob
from core.data.modalities import decode_sample, info_of
from core.data.modalities import image as module
from core.data.modalities.base import Reading
from core.data.modalities.image import decode_image, encode_images, fit_images, read_images
from core.data.problems import SampleError
from core.errors import DataError
from core.spec.data import ImagePreprocess
from tests.unit.data.builders import grey, png

RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], dtype=np.uint8)


def decoded(raw: bytes, mode: str = "auto", size: tuple[int, int] | None = None) -> Any:
    return decode_image(io.BytesIO(raw), mode=mode, size=size)


def read(root: Path, files: list[bytes | None], **preprocess: Any) -> Reading:
    blobs: list[Blob | None] = []
    for index, raw in enumerate(files):
        if raw is not None:
            (root / f"{index}.png").write_bytes(raw)
        blobs.append(None if raw is None else FileBlob(root / f"{index}.png"))
    return read_images(blobs, ImagePreprocess(**preprocess))


def problem(raw: bytes, **options: Any) -> SampleError:
    with pytest.raises(SampleError) as raised:
        decoded(raw, **options)
    return raised.value


def test_grey_and_rgb() -> None:
    assert decoded(png(np.array([[0, 10], [200, 255]], np.uint8))).tolist() == [[[0, 10], [200, 255]]]
    assert decoded(png(RGB)).tolist() == [[[255, 0], [0, 255]], [[0, 255], [0, 255]], [[0, 0], [255, 255]]]


def test_the_mode_may_be_forced() -> None:
    # ITU-R 601-2 luma: 0.299 R + 0.587 G + 0.114 B.
    assert decoded(png(RGB), mode="grey").tolist() == [[[76, 150], [29, 255]]]
    assert decoded(grey(7, (1, 2)), mode="rgb").tolist() == [[[7, 7]], [[7, 7]], [[7, 7]]]


def test_16_bit_greys_keep_their_depth() -> None:
    raw = png(np.array([[0, 257, 65535, 128]], dtype=np.uint16))
    np.testing.assert_allclose(decoded(raw), [[[0.0, 1.0, 255.0, 128 / 257]]], rtol=1e-6)
    assert decoded(raw, mode="rgb").shape == (3, 1, 4)
    assert decoded(raw, size=(2, 2)).shape == (1, 2, 2)


def test_palettes_transparency_and_one_bit() -> None:
    out = io.BytesIO()
    Image.fromarray(RGB).convert("P", palette=Image.Palette.ADAPTIVE).save(out, "PNG", transparency=b"\x00\x80")
    assert decoded(out.getvalue()).shape == (3, 2, 2)
    out = io.BytesIO()
    Image.fromarray(np.dstack([RGB, np.zeros((2, 2), np.uint8)])).save(out, "PNG")
    assert decoded(out.getvalue()).tolist() == decoded(png(RGB)).tolist()
    out = io.BytesIO()
    Image.fromarray(np.array([[True, False]])).save(out, "PNG")
    assert decoded(out.getvalue()).tolist() == [[[255, 0]]]


def test_size_is_height_and_width() -> None:
    assert decoded(grey(9, (4, 6)), size=(3, 5)).shape == (1, 3, 5)
    checked = np.array([[0, 255], [255, 0]], dtype=np.uint8)
    assert decoded(png(checked), size=(1, 1)).tolist() == [[[128]]]


def test_a_jpeg_lies_as_its_exif_says() -> None:
    out = io.BytesIO()
    image = Image.fromarray(np.array([[0] * 16] * 8 + [[255] * 16] * 8, dtype=np.uint8)[:, :8])
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(out, "JPEG", quality=95, exif=exif)
    pixels = decoded(out.getvalue())
    assert pixels.shape == (1, 8, 16)
    assert pixels[0, 0, 0] > 250
    assert pixels[0, 0, 15] < 5


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_truncated(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    raw = png(noise, kind=kind)
    assert problem(raw[: len(raw) // 2]).code == "file.truncated"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"hello", "file.format"),
        (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", "file.format"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "file.format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "file.format"),
        (b"\x89PNG\r\n\x1a\n", "file.undecodable"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 40, "file.undecodable"),
        (b"\xff\xd8\xff", "file.undecodable"),
    ],
)
def test_not_an_image(raw: bytes, code: str) -> None:
    error = problem(raw)
    assert error.code == code
    assert "0x" not in error.detail


def bomb(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\x00" * 10))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [7072, 12_000, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(side: int) -> None:
    assert problem(bomb(side, side)).code == "file.too_large"


def test_a_file_that_is_too_large_is_not_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 50)
    assert read(root, [grey(1), b"x" * 10]).problems[0].detail.endswith("at most 50 are read")


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(
    cut=st.integers(0, 300), place=st.integers(0, 300), value=st.integers(0, 255), kind=st.sampled_from(["PNG", "JPEG"])
)
def test_damaged_bytes_never_raise_anything_else(cut: int, place: int, value: int, kind: str) -> None:
    raw = bytearray(png(np.arange(48, dtype=np.uint8).reshape(6, 8), kind=kind))
    raw[place % len(raw)] = value
    try:
        pixels = decoded(bytes(raw[: len(raw) - cut] if cut < len(raw) else raw))
    except SampleError:
        return
    assert pixels.ndim == 3


def test_reading_settles_mode_and_size_by_the_first_good_image(root: Path) -> None:
    reading = read(root, [None, b"junk", grey(10), png(RGB), png(np.zeros((4, 4, 3), np.uint8)), b""])
    assert reading.raw.shape == (6, 1, 4, 4)
    assert reading.raw.dtype == np.uint8
    assert reading.raw[:, 0, 0, 0].tolist() == [0, 0, 10, 0, 0, 0]
    assert [(problem.row, problem.code) for problem in reading.problems] == [
        (1, "file.format"),
        (3, "value.shape"),
        (5, "file.truncated"),
    ]
    assert reading.problems[1].detail == "2 x 2 pixels; the first image has 4 x 4 (set preprocess.size)"
    assert [len(digest) for digest in reading.digests] == [0, 32, 32, 32, 32, 0]


def test_8_and_16_bits_may_meet(root: Path) -> None:
    deep = png(np.full((4, 4), 25700, dtype=np.uint16))
    assert read(root, [grey(10), deep]).raw[:, 0, 0, 0].tolist() == [10, 100]
    assert read(root, [deep, grey(10)]).raw[:, 0, 0, 0].tolist() == [100.0, 10.0]


def test_images_that_would_not_fit_in_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.data.modalities.base.MAX_STORE_BYTES", 40)
    with pytest.raises(DataError, match=r"data\.too_large"):
        read(root, [grey(1), grey(2), grey(3)])


def test_standardised_on_the_training_rows_alone(root: Path) -> None:
    reading = read(root, [grey(0), grey(102), grey(255)])
    state = fit_images(reading.raw, np.array([0, 1]))
    assert state["type"] == "image"
    assert (state["mode"], state["size"]) == ("grey", [4, 4])
    # Pixels 0 and 102 of 255: mean 0.2, deviation 0.2.
    np.testing.assert_allclose([state["mean"], state["std"]], [[0.2], [0.2]])
    encoded = encode_images(reading.raw, state)
    assert (encoded.dtype, encoded.shape, encoded.flags.c_contiguous) == (np.float32, (3, 1, 4, 4), True)
    np.testing.assert_allclose(encoded[:, 0, 0, 0], [-1.0, 1.0, 4.0], rtol=1e-6)


def test_channels_are_standardised_apart_and_constant_ones_become_0(root: Path) -> None:
    files = [png(np.full((2, 2, 3), (value, 7, 2 * value), dtype=np.uint8)) for value in (0, 100)]
    reading = read(root, [*files])
    state = fit_images(reading.raw, np.array([0, 1]))
    np.testing.assert_allclose(encode_images(reading.raw, state)[:, :, 0, 0], [[-1, 0, -1], [1, 0, 1]], atol=1e-6)
    assert info_of("face", state).shape == (3, 2, 2)


def test_a_new_sample_takes_the_same_road(root: Path) -> None:
    reading = read(root, [grey(0, (6, 6)), grey(102, (5, 5))], size=(4, 4))
    state = fit_images(reading.raw, np.array([0, 1]))
    for source in (png(RGB), root / "new.png"):
        if isinstance(source, Path):
            source.write_bytes(png(RGB))
        encoded = decode_sample({"face": state}, {"face": source})["face"]
        assert encoded.shape == (1, 1, 4, 4)
    again = decode_sample({"face": state}, {"face": grey(102, (5, 5))})["face"]
    assert np.array_equal(again, encode_images(reading.raw[1:], state))


def test_moments_of_many_pixels_are_exact() -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 256, (30, 3, 50, 60), dtype=np.uint8)
    raw[:, 1] = 255
    rows = np.array([0, 3, 4, 29])
    state = fit_images(raw, rows)
    chosen = raw[rows].astype(np.float64) / 255.0
    np.testing.assert_allclose(state["mean"], chosen.mean(axis=(0, 2, 3)), rtol=1e-14)
    np.testing.assert_allclose(state["std"], [chosen[:, 0].std(), 1.0, chosen[:, 2].std()], rtol=1e-13)
    assert state["mean"][1] == 1.0
    # The largest sums there can be: they must not wrap around.
    assert fit_images(np.full((2, 1, 300, 300), 255, dtype=np.uint8), np.array([0, 1]))["mean"] == [1.0]
    again = fit_images(raw.astype(np.float32), rows)
    np.testing.assert_allclose([again["mean"], again["std"]], [state["mean"], state["std"]], rtol=1e-12)
