"""Streams of randomness that belong to one learner each, so that learners can be interleaved without disturbing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class RngStream:
    """A saved state of torch's global generators, put in place only while its owner computes.

    Dropout draws from the global generator; giving each head a stream of its own is what makes training M+1 heads in
    one pass over the data bit-identical to training them one after another.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._device = device
        self._cpu = torch.Generator().manual_seed(seed).get_state()
        self._cuda = torch.Generator(device).manual_seed(seed).get_state() if device.type == "cuda" else None

    @contextmanager
    def active(self) -> Iterator[None]:
        """Draws inside come from this stream; afterwards the generators are as they were before."""
        outer_cpu = torch.get_rng_state()
        outer_cuda = torch.cuda.get_rng_state(self._device) if self._cuda is not None else None
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)
        try:
            yield
        finally:
            self._cpu = torch.get_rng_state()
            torch.set_rng_state(outer_cpu)
            if outer_cuda is not None:
                self._cuda = torch.cuda.get_rng_state(self._device)
                torch.cuda.set_rng_state(outer_cuda, self._device)

    def tensors(self) -> dict[str, Tensor]:
        """The state, for a checkpoint."""
        return {"cpu": self._cpu.clone()} | ({"cuda": self._cuda.clone()} if self._cuda is not None else {})

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`. A run that moved between CPU and GPU keeps the stream that both know."""
        self._cpu = tensors["cpu"].cpu()
        if self._cuda is not None and "cuda" in tensors:
            self._cuda = tensors["cuda"].cpu()
