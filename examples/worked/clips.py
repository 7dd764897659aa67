"""Discs that move left, right, up, down or in a circle, and a caption that often says so. Types `video` and `text`.

A single frame says nothing of the class: only their order does.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROWS, CAMERAS, SIDE, FRAMES = 300, 6, 48, 12
MOVES = ("left", "right", "up", "down", "circle")
_SAID = {"left": "leftwards", "right": "rightwards", "up": "rises", "down": "falls", "circle": "circles"}


def write(folder: Path, seed: int = 0) -> None:
    """`clips.csv` (id, camera, clip, caption, move) and `clips/*.mp4` (MPEG-4, 12 frames of 48 x 48). Needs PyAV."""
    draw = np.random.default_rng(seed)
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "camera", "clip", "caption", "move"])
        for row in range(ROWS):
            move = MOVES[row % len(MOVES)]
            said = move if draw.random() < 0.6 else str(draw.choice(MOVES))
            colour, where = draw.choice(["a bright", "a grey", "a small"]), draw.choice(["slowly", "again", "at once"])
            _encode(folder / "clips" / f"{row:03d}.mp4", _frames(draw, move))
            writer.writerow(
                [f"c{row:03d}", f"camera {row // 5 % CAMERAS}", f"clips/{row:03d}.mp4",
                 f"{colour} disc {_SAID[said]} {where}", move]
            )  # fmt: skip


def _frames(draw: np.random.Generator, move: str) -> NDArray[np.uint8]:
    """`[12, 48, 48, 3]`."""
    place = np.linspace(0.25, 0.75, FRAMES)
    still = np.full(FRAMES, draw.uniform(0.35, 0.65))
    turn = draw.uniform(0, 2 * np.pi) + np.linspace(0, 2 * np.pi, FRAMES)
    x, y = {
        "left": (place[::-1], still),
        "right": (place, still),
        "up": (still, place[::-1]),
        "down": (still, place),
        "circle": (0.5 + 0.2 * np.cos(turn), 0.5 + 0.2 * np.sin(turn)),
    }[move]
    grid = np.arange(SIDE) / SIDE
    far = (grid[None, None, :] - x[:, None, None]) ** 2 + (grid[None, :, None] - y[:, None, None]) ** 2
    disc = np.where(far < draw.uniform(0.08, 0.14) ** 2, draw.uniform(150, 250), 40.0)
    noisy = disc[..., None] + 12.0 * draw.normal(size=(FRAMES, SIDE, SIDE, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _encode(path: Path, frames: NDArray[np.uint8]) -> None:
    import av

    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        stream.bit_rate = 400_000
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
