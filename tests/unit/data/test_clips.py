"""Videos: pixels with known numbers, and every way in which a file can be bad."""

from __future__ import annotations

import io
import struct
import sys
from typing import Any

import av
import numpy as np
import pytest

from core.data.modalities import clips as module
from core.data.modalities.clips import decode_clip
from core.data.problems import SampleError
from core.errors import DataError


def clip(
    greys: list[int], *, container: str = "matroska", codec: str = "ffv1", shape: tuple[int, int] = (16, 24)
) -> bytes:
    """Eight frames a second, each of one grey; ffv1 keeps them exactly."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=8)
        stream.height, stream.width = shape
        stream.pix_fmt = "gray" if codec == "ffv1" else "yuv420p"
        for grey in greys:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full(shape, grey, np.uint8), format="gray")))
        file.mux(stream.encode())
    return out.getvalue()


def colours(pixels: Any) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as file:
        stream: Any = file.add_stream("ffv1", rate=8)
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "bgr0"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    return out.getvalue()


def decoded(raw: bytes, **options: Any) -> Any:
    return decode_clip(io.BytesIO(raw), **{"frames": 4, "size": None, "mode": "auto", "max_seconds": 10.0} | options)


def greys_of(raw: bytes, **options: Any) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in decoded(raw, **options)]


def problem(raw: bytes) -> SampleError:
    with pytest.raises(SampleError) as raised:
        decoded(raw)
    return raised.value


RAMP = clip([0, 10, 20, 30, 40, 50, 60, 70])


@pytest.mark.parametrize(
    ("options", "greys"),
    [
        ({"frames": 8}, [0, 10, 20, 30, 40, 50, 60, 70]),
        ({"frames": 4}, [10, 30, 50, 70]),
        ({"frames": 1}, [40]),
        ({"frames": 4, "max_seconds": 0.5}, [0, 10, 20, 30]),
        ({"frames": 2, "max_seconds": 0.01}, [0, 0]),
    ],
)
def test_frames_are_evenly_spaced(options: dict[str, Any], greys: list[int]) -> None:
    assert greys_of(RAMP, **options) == greys


def test_a_short_clip_shows_frames_twice() -> None:
    assert greys_of(clip([5, 9]), frames=6) == [5, 5, 5, 9, 9, 9]


@pytest.mark.parametrize("container", ["mp4", "mov", "avi", "matroska"])
def test_containers(container: str) -> None:
    found = greys_of(clip([0, 100, 200], container=container, codec="mpeg4"), frames=3)
    np.testing.assert_allclose(found, [0, 100, 200], atol=3)


def test_shape_mode_and_size() -> None:
    assert decoded(RAMP).shape == (4, 1, 16, 24)
    assert decoded(RAMP, mode="rgb", size=(5, 7)).shape == (4, 3, 5, 7)
    assert decoded(RAMP).dtype == np.uint8
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, :8, 0], pixels[:, 8:, 2] = 200, 77
    assert decoded(colours(pixels))[0, :, 0, [0, 15]].tolist() == [[200, 0, 0], [0, 0, 77]]
    assert decoded(colours(pixels), mode="grey")[0, 0, 0, [0, 15]].tolist() == [60, 9]


CORNER = np.zeros((16, 24, 3), np.uint8)
CORNER[:8, :12] = 255  # the upper left is bright
CORNER[:8, 12:] = 120


def turned(matrix: tuple[int, int, int, int]) -> bytes:
    """`CORNER` as a film; its track header has this matrix: a, b, c, d send x, y to ax + cy, bx + dy (ISO 14496)."""
    out = io.BytesIO()
    with av.open(out, "w", format="mov") as file:
        stream: Any = file.add_stream("png", rate=8)
        stream.height, stream.width, stream.pix_fmt = 16, 24, "rgb24"
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(CORNER, format="rgb24")))
        file.mux(stream.encode())
    raw = out.getvalue()
    at = raw.index(b"tkhd") + 4 + 40
    a, b, c, d = (65_536 * each for each in matrix)
    assert struct.unpack(">9i", raw[at : at + 36]) == (65_536, 0, 0, 0, 65_536, 0, 0, 0, 2**30)
    return raw[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 2**30) + raw[at + 36 :]


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), CORNER),
        ((0, 1, -1, 0), np.rot90(CORNER, -1)),  # 90 degrees clockwise: a phone held upright
        ((-1, 0, 0, -1), np.rot90(CORNER, 2)),
        ((0, -1, 1, 0), np.rot90(CORNER)),
        ((-1, 0, 0, 1), CORNER[:, ::-1]),
        ((1, 0, 0, -1), CORNER[::-1]),
        ((0, 1, 1, 0), CORNER.swapaxes(0, 1)),
        ((0, -1, -1, 0), np.rot90(CORNER.swapaxes(0, 1), 2)),
    ],
)
def test_frames_are_shown_as_the_container_says(matrix: tuple[int, int, int, int], shown: Any) -> None:
    found = decoded(turned(matrix), frames=2)
    np.testing.assert_array_equal(found, np.stack([shown.transpose(2, 0, 1)] * 2))


def test_what_is_shown_is_resized() -> None:
    found = decoded(turned((0, 1, -1, 0)), frames=1, size=(12, 8))
    assert found.shape == (1, 3, 12, 8)
    assert (found[0, 0, 0, -1], found[0, 0, 0, 0], found[0, 0, -1, -1]) == (255, 0, 120)


@pytest.mark.parametrize(("container", "codec"), [("mp4", "mpeg4"), ("matroska", "mpeg4")])
def test_other_containers_say_it_too(container: str, codec: str) -> None:
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=8)
        stream.height, stream.width, stream.pix_fmt = 16, 24, "yuv420p"
        stream.set_display_rotation(-90)
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(CORNER, format="rgb24")))
        file.mux(stream.encode())
    found = decoded(out.getvalue(), frames=1)
    assert found.shape == (1, 3, 24, 16)
    np.testing.assert_allclose(found[0, :, [2, 2, -3, -3], [2, -3, 2, -3]][:, 0], [0, 255, 0, 120], atol=12)


@pytest.mark.parametrize(
    "raw",
    [
        b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        b"<?xml version='1.0'?><MPD></MPD>",
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
        b"hello",
    ],
)
def test_what_is_no_video_never_reaches_ffmpeg(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_open", None)
    assert problem(raw).code == "file.format"


@pytest.mark.parametrize("container", ["mp4", "avi", "matroska"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated(container: str, share: float) -> None:
    raw = clip([0, 100, 200, 50], container=container, codec="mpeg4")
    assert problem(raw[: int(len(raw) * share)]).code == "file.truncated"


def test_sound_alone_is_no_video() -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as file:
        stream: Any = file.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        file.mux(stream.encode(sound))
    assert problem(out.getvalue()).detail == "it holds no video"


def test_large_frames_and_long_clips_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PIXELS", 16 * 24 - 1)
    assert problem(RAMP).code in ("file.too_large", "file.undecodable")
    monkeypatch.setattr(module, "MAX_PIXELS", 16 * 24)
    assert decoded(RAMP).shape == (4, 1, 16, 24)
    monkeypatch.setattr(module, "MAX_FRAMES", 7)
    assert problem(RAMP).code == "file.too_large"


def test_without_the_library_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError) as raised:
        decoded(RAMP)
    assert (raised.value.code, raised.value.hint) == (
        "data.missing_library",
        "pip install 'gblend[video]', where the workers run",
    )
