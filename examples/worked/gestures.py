"""Gestures of twelve persons: an accelerometer and a vector. Types `timeseries` and `embedding`.

The series tells the gesture whoever makes it; the vector tells it too, and the person even better: it overfits to the
persons it has seen.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

ROWS, PERSONS, GESTURES, STEPS, WIDTH = 960, 12, 6, 48, 32


def write(folder: Path, seed: int = 0) -> None:
    """`gestures.npz`: imu `[N, 48, 3]`, pose `[N, 32]`, gesture `[N]`, person `[N]`."""
    draw = np.random.default_rng(seed)
    gesture = np.arange(ROWS) % GESTURES
    person = (np.arange(ROWS) // GESTURES) % PERSONS
    time = np.linspace(0.0, 1.0, STEPS)[None, :, None]
    speed = 1.0 + 0.6 * gesture[:, None, None] + 0.1 * draw.normal(size=(ROWS, 1, 1))
    phase = draw.uniform(0.0, 2.0 * np.pi, size=(ROWS, 1, 1)) + np.array([0.0, 0.7, 1.4])
    imu = np.sin(2.0 * np.pi * speed * time + phase) + 0.9 * draw.normal(size=(ROWS, STEPS, 3))
    by_gesture, by_person = draw.normal(size=(GESTURES, WIDTH)), draw.normal(size=(PERSONS, GESTURES, WIDTH))
    pose = 0.5 * by_gesture[gesture] + 1.5 * by_person[person, gesture] + draw.normal(size=(ROWS, WIDTH))
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "gestures.npz",
        imu=imu.astype(np.float32),
        pose=pose.astype(np.float32),
        gesture=gesture,
        person=person,
    )
