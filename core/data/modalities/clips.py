"""One video file to pixels `[frames, C, H, W]`, with PyAV (the extra `video`).

Frames are those shown at evenly spaced moments of the clip, or of its first `max_seconds`; a clip with fewer shows some
twice. Resizing is that of images. What the container says of turning or mirroring
them (a phone's display matrix) is applied, as players do. Only the first video stream counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import IO, Any

import numpy as np

from core.data.modalities.base import Raw
from core.data.modalities.containers import container_of
from core.data.problems import SampleError
from core.errors import DataError, Issue

MAX_PIXELS = 4096 * 4096
"""Of one frame."""
MAX_FRAMES = 36_000
"""Ten minutes at 60 a second: so many are looked at, and decoded, at most."""
_LONGEST = 10.0**9
"""Seconds; a file that says more says nothing."""
_MISSING = Issue(
    code="data.missing_library",
    detail="videos are read with PyAV, which is not installed here",
    hint="pip install 'gblend[video]', where the workers run",
)
_DECODERS = frozenset(
    {"h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "libvpx", "libvpx-vp9", "mpeg4", "mpeg2video", "mpeg1video"}
    | {"msmpeg4", "msmpeg4v2", "h263", "mjpeg", "ffv1", "huffyuv", "ffvhuff", "rawvideo", "png", "prores", "dnxhd"}
)


def decode_clip(file: IO[bytes], *, frames: int, size: Sequence[int] | None, mode: str, max_seconds: float) -> Raw:
    """One clip as uint8 `[frames, C, H, W]`; `mode` is grey, rgb or auto, `size` height and width. Raises SampleError,
    and DataError (`data.missing_library`) where PyAV is not installed."""
    av = _pyav()
    demuxer = container_of(file)
    try:
        stamps = _stamps(av, file, demuxer, max_seconds)
        file.seek(0)
        return _shown(av, file, demuxer, stamps, frames, size, mode)
    except SampleError:
        raise
    except Exception as error:  # hostile bytes make a decoder raise anything; it all means one thing
        raise SampleError("file.undecodable", getattr(error, "strerror", None) or type(error).__name__) from error


def describe_clip(file: IO[bytes]) -> dict[str, Any]:
    """`width` and `height` as they are coded, and where the file says so, `seconds` and `frames`; decodes nothing.

    Raises as `decode_clip` does.
    """
    av = _pyav()
    demuxer = container_of(file)
    try:
        with _open(av, file, demuxer) as container:
            stream = _video_of(container)
            seconds = None if container.duration is None else container.duration / av.time_base
            return {
                "width": int(stream.width),
                "height": int(stream.height),
                "seconds": seconds if seconds is not None and 0 <= seconds < _LONGEST else None,
                "frames": int(stream.frames) or None,
                "format": demuxer,
            }
    except SampleError:
        raise
    except Exception as error:  # as above
        raise SampleError("file.undecodable", getattr(error, "strerror", None) or type(error).__name__) from error


def library_issue() -> Issue | None:
    """A warning where PyAV is not installed here; it is not imported, so that this may be asked anywhere."""
    return None if find_spec("av") is not None else replace(_MISSING, severity="warning")


def _pyav() -> Any:
    try:
        import av
    except ImportError as error:
        raise DataError(_MISSING.detail, code=_MISSING.code, hint=_MISSING.hint, issues=(_MISSING,)) from error
    return av


def _open(av: Any, file: IO[bytes], demuxer: str) -> Any:
    # No demuxer is guessed, and none may open anything but the file that it is given: not a reference in an MP4 either.
    options = {
        "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi",
        "protocol_whitelist": "none",
        "max_pixels": str(MAX_PIXELS),
    }
    return av.open(file, "r", format=demuxer, options=options, metadata_errors="replace")


def _video_of(container: Any) -> Any:
    if not container.streams.video:
        raise SampleError("file.undecodable", "it holds no video")
    stream = container.streams.video[0]
    codec = "which FFmpeg does not know" if stream.codec_context is None else stream.codec_context.name
    if codec not in _DECODERS:
        raise SampleError("file.format", f"its codec, {codec}, is none of those that are read")
    if stream.width * stream.height > MAX_PIXELS:
        raise SampleError("file.too_large", f"{stream.width} x {stream.height} pixels a frame; at most {MAX_PIXELS}")
    stream.codec_context.thread_count = 1
    return stream


def _stamps(av: Any, file: IO[bytes], demuxer: str, max_seconds: float) -> list[int]:
    """When each frame of the clip is shown, ascending, in the stream's unit, and as the last entry when the clip ends.

    Reads packets and decodes none. Where some say no time, frames are taken as equally long: 0, 1, 2, ..., n.
    """
    with _open(av, file, demuxer) as container:
        stream = _video_of(container)
        times: list[int] = []
        counted, longest, timeless = 0, 0, False
        most = None if stream.time_base is None else max_seconds / float(stream.time_base)
        rate = float(stream.average_rate or 25)
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                continue
            counted += 1
            timeless = timeless or packet.pts is None
            if packet.pts is not None:
                times.append(packet.pts)
                longest = max(longest, packet.duration or 0)
            begun = counted / rate if timeless or most is None else 0.0
            if begun > max_seconds or (most and not timeless and (packet.dts or packet.pts) - min(times) >= most):
                break
            if counted > MAX_FRAMES:
                raise SampleError("file.too_large", f"more than {MAX_FRAMES} frames (set preprocess.max_seconds)")
    if counted == 0:
        raise SampleError("file.undecodable", "it holds no frames")
    if timeless or len(set(times)) != len(times):
        return list(range(max(1, min(counted, round(max_seconds * rate))) + 1))
    times.sort()
    kept = [time for time in times if most is None or time - times[0] < most]
    after = times[len(kept)] if len(kept) < len(times) else kept[-1] + max(1, longest)
    return [*kept, after]


def _shown(
    av: Any, file: IO[bytes], demuxer: str, stamps: list[int], frames: int, size: Sequence[int] | None, mode: str
) -> Raw:
    """Decode up to the last frame that is wanted, and keep those shown in the middle of `frames` equal spans."""
    start, span = stamps[0], stamps[-1] - stamps[0]
    wanted = [start + (2 * k + 1) * span // (2 * frames) for k in range(frames)]
    ordinal = stamps == list(range(len(stamps)))
    kept: list[Raw] = []
    last: Any = None
    with _open(av, file, demuxer) as container:
        for index, frame in enumerate(container.decode(_video_of(container))):
            if index > MAX_FRAMES or frame.width * frame.height > MAX_PIXELS:
                raise SampleError("file.too_large", f"a frame has {frame.width} x {frame.height} pixels")
            time = index if ordinal or frame.pts is None else frame.pts
            pixels = None
            while len(kept) < frames and last is not None and wanted[len(kept)] < time:
                pixels = _pixels(last, mode, size) if pixels is None else pixels
                kept.append(pixels)
            last = frame
            if len(kept) == frames:
                break
    if last is None:
        raise SampleError("file.undecodable", "it holds no frames")
    kept += [_pixels(last, mode, size)] * (frames - len(kept))
    if len({pixels.shape for pixels in kept}) > 1:
        raise SampleError("value.shape", "its frames differ in size (set preprocess.size)")
    return np.stack(kept)


def _pixels(frame: Any, mode: str, size: Sequence[int] | None) -> Raw:
    from PIL import Image

    if mode == "auto":
        mode = "grey" if frame.format.name.startswith(("gray", "mono")) else "rgb"
    image = Image.fromarray(frame.to_ndarray(format="rgb24", threads=1))
    if mode == "grey":
        image = image.convert("L")
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is not None:
        image = Image.fromarray(_turned(np.asarray(image), np.frombuffer(matrix, dtype=np.int32)))
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def _turned(pixels: Raw, matrix: Raw) -> Raw:
    """A frame as it is shown: a display matrix of int32 `[9]` sends x, y to m0 x + m3 y, m1 x + m4 y. Of angles in
    between, which nobody films at, the nearest quarter turn."""
    across, down = (int(matrix[0]), int(matrix[4]))
    if abs(int(matrix[1])) > abs(across):
        pixels = pixels.swapaxes(0, 1)
        across, down = int(matrix[3]), int(matrix[1])
    return np.ascontiguousarray(pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])
