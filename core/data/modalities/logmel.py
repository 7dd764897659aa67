"""Log-mel spectrograms in NumPy.

Frame t covers the samples from `t * hop` on (no centring, no reflection), weighted by a periodic Hann window and
zero-padded to `n_fft`; its power spectrum goes through triangular filters whose corners are evenly spaced on the HTK
mel scale, `mel = 2595 log10(1 + f / 700)`, from 0 Hz to half the sample rate. Filters peak at 1 (no area
normalisation). The result is `log(power + 1e-6)`, with samples in -1..1, so silence is `log(1e-6)` = -13.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.modalities.base import Floats, contiguous

FLOOR = 1e-6
SILENCE = float(np.log(np.float32(FLOOR)))
_FRAMES_AT_ONCE = 2048


@dataclass(frozen=True)
class LogMel:
    """A log-mel transform; `window`, `hop` and `n_fft` are in samples."""

    sample_rate: int
    mels: int
    window: int
    hop: int
    n_fft: int

    @classmethod
    def of(cls, sample_rate: int, mels: int, window_ms: float, hop_ms: float) -> LogMel:
        """The transform for a window and a hop in milliseconds.

        `n_fft` is the smallest power of two that holds the window and leaves no mel filter without a bin: at low
        rates the lowest filters are narrower than the bins of a short transform, and would always be 0.
        """
        window = max(1, round(sample_rate * window_ms / 1000.0))
        hop = max(1, round(sample_rate * hop_ms / 1000.0))
        n_fft = 1 << (window - 1).bit_length()
        while not mel_filters(sample_rate, mels, n_fft).any(axis=1).all():
            n_fft *= 2
        return cls(sample_rate, mels, window, hop, n_fft)

    def frames(self, samples: int) -> int:
        """How many frames a clip of this many samples has: as many as begin inside it."""
        return -(-samples // self.hop)

    def __call__(self, wave: NDArray[np.float32]) -> Floats:
        """`[samples]` in -1..1 to `[mels, frames]`. The clip counts as followed by silence."""
        frames = self.frames(len(wave))
        out = np.empty((self.mels, frames), dtype=np.float32)
        padded = np.zeros((frames - 1) * self.hop + self.window, dtype=np.float32)
        padded[: min(len(wave), len(padded))] = wave[: len(padded)]
        framed = np.lib.stride_tricks.sliding_window_view(padded, self.window)[:: self.hop]
        for start in range(0, frames, _FRAMES_AT_ONCE):
            some = framed[start : start + _FRAMES_AT_ONCE] * self._hann
            spectrum = np.fft.rfft(some, n=self.n_fft, axis=1)
            power = spectrum.real**2 + spectrum.imag**2
            energy = power.astype(np.float32) @ self._filters.T
            out[:, start : start + len(some)] = np.log(energy + np.float32(FLOOR)).T
        return contiguous(out)

    @cached_property
    def _hann(self) -> NDArray[np.float32]:
        phase = 2.0 * np.pi * np.arange(self.window) / self.window
        return (0.5 - 0.5 * np.cos(phase)).astype(np.float32) if self.window > 1 else np.ones(1, dtype=np.float32)

    @cached_property
    def _filters(self) -> NDArray[np.float32]:
        return mel_filters(self.sample_rate, self.mels, self.n_fft).astype(np.float32)


def hz_to_mel(frequency: NDArray[Any] | float) -> NDArray[np.float64]:
    """The HTK mel scale; 1000 Hz are 1000 mel (999.99)."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(frequency, dtype=np.float64) / 700.0))


def mel_to_hz(mel: NDArray[Any] | float) -> NDArray[np.float64]:
    """The inverse of `hz_to_mel`."""
    return np.asarray(700.0 * (10.0 ** (np.asarray(mel, dtype=np.float64) / 2595.0) - 1.0))


def mel_filters(sample_rate: int, mels: int, n_fft: int) -> NDArray[np.float64]:
    """Triangular filters `[mels, n_fft // 2 + 1]`; neighbouring ones sum to 1 between their peaks."""
    corners = mel_to_hz(np.linspace(0.0, hz_to_mel(sample_rate / 2.0), mels + 2))
    bins = np.arange(n_fft // 2 + 1) * (sample_rate / n_fft)
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    return np.maximum(0.0, np.minimum(rising, falling))
