"""Streams of randomness that belong to one learner each, so that learners can be interleaved without disturbing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from core.models.seeding import derive
from core.training.distributed import ALONE, Ranks


class RngStream:
    """A saved state of torch's global generators, put in place only while its owner computes.

    Dropout draws from the global generator; giving each head a stream of its own is what makes training M+1 heads in
    one pass over the data bit-identical to training them one after another.

    Where several processes train, each draws for its own rows from a stream of its own; the first one's is that of a
    process which is alone.
    """

    def __init__(self, seed: int, device: torch.device, ranks: Ranks = ALONE) -> None:
        self._device = device
        self._ranks = ranks
        self._seed(seed if ranks.is_first else derive(seed, "rank", ranks.rank))

    def _seed(self, seed: int) -> None:
        device = self._device
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
        """The state, for a checkpoint: `cpu` and, on a GPU, `cuda`, and those of further processes as `cpu.1` etc."""
        states = {"cpu": self._cpu} | ({"cuda": self._cuda} if self._cuda is not None else {})
        return {
            _name(kind, rank): found.clone()
            for kind, state in states.items()
            for rank, found in enumerate(self._ranks.of_all(state))
        }

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`. A run that moved between CPU and GPU keeps the stream that both know.

        A process that was not there when the checkpoint was taken begins a stream that follows from the first one's.
        """
        rank = self._ranks.rank
        if _name("cpu", rank) not in tensors:
            self._seed(derive(0, tensors["cpu"].cpu().numpy().tobytes().hex(), "rank", rank))
            return
        self._cpu = tensors[_name("cpu", rank)].cpu()
        if self._cuda is not None and _name("cuda", rank) in tensors:
            self._cuda = tensors[_name("cuda", rank)].cpu()


def _name(kind: str, rank: int) -> str:
    return f"{kind}.{rank}" if rank else kind
