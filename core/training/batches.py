"""Rows of the prepared data as batches of tensors, in an order that depends on nothing but seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.dataset import PreparedData

Rows = NDArray[np.int64]

MEASURE_BATCH = 512
"""Rows per forward pass while measuring. Fixed, so that a loss never depends on the training batch size."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs by modality, each [B, ...], and class indices [B]."""

    inputs: dict[str, Tensor]
    targets: Tensor

    def __len__(self) -> int:
        return int(self.targets.shape[0])


def no_tick(_samples: int) -> None:
    """A tick that nobody listens to."""


class Batches:
    """Cuts prepared data into batches on a device. The last batch of a pass may be smaller; no row is dropped."""

    def __init__(self, data: PreparedData, device: torch.device, batch_size: int) -> None:
        self._data = data
        self._device = device
        self._batch_size = batch_size

    def shuffled(self, rows: Rows, seed: int) -> Iterator[Batch]:
        """One pass over `rows` in the order that `seed` gives: a new seed per epoch is the whole sampler state."""
        yield from self._cut(np.random.default_rng(seed).permutation(rows), self._batch_size)

    def in_order(self, rows: Rows) -> Iterator[Batch]:
        """One pass over `rows` as they stand, for measuring."""
        yield from self._cut(rows, MEASURE_BATCH)

    def _cut(self, rows: Rows, size: int) -> Iterator[Batch]:
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            yield Batch(
                {name: self._tensor(array) for name, array in self._data.batch(chosen).items()},
                self._tensor(self._data.targets[chosen]),
            )

    def _tensor(self, array: NDArray[np.float32] | NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def with_tick(batches: Iterator[Batch], tick: Callable[[int], None]) -> Iterator[Batch]:
    """Tells `tick` the size of each batch once it has been worked on."""
    for batch in batches:
        yield batch
        tick(len(batch))
