"""Rows of the prepared data as batches of tensors, in an order that depends on nothing but seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.dataset import PreparedData
from core.models.seeding import derive
from core.training.augment import Augmentation
from core.training.distributed import ALONE, Ranks
from core.training.prefetch import prefetched

Rows = NDArray[np.int64]

MEASURE_BATCH = 512
"""Rows per forward pass while measuring. Fixed, so that a loss never depends on the training batch size."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs by modality, each [B, ...], and targets [B], or [B, K] of labels (`PreparedData.targets`).

    Of a modality that may be missing the inputs have `presence_of(modality)` [B] as well (`PreparedData.batch`).

    Where several processes train, these are the rows that this one has of the `whole` batch, perhaps none.
    """

    inputs: dict[str, Tensor]
    targets: Tensor
    whole: int | None = None
    """Rows that all processes have together; None: these are all."""
    ranks: Ranks = ALONE

    def __len__(self) -> int:
        return int(self.targets.shape[0])

    @property
    def total(self) -> int:
        """Rows of the whole batch."""
        return len(self) if self.whole is None else self.whole

    @property
    def share(self) -> float:
        """What part of the whole batch this process has: over all processes these sum to 1."""
        return len(self) / self.total


class InOrder:
    """One pass over rows as they stand, of which every process looks at its own, to be iterated once."""

    def __init__(self, batches: Iterable[Batch], rows: int | None = None, ranks: Ranks = ALONE) -> None:
        """`rows` of all processes together; a process that is alone need not say."""
        self._batches = batches
        self._rows = rows
        self._ranks = ranks

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)

    def together(self, parts: Sequence[Tensor]) -> Tensor:
        """What was computed per row [N, ...], for all rows in their order, from what each batch gave this process."""
        own = torch.cat(list(parts))
        return self._ranks.gather(own, len(own) if self._rows is None else self._rows)


class Batches:
    """Cuts prepared data into batches on a device. The last batch of a pass may be smaller; no row is dropped.

    For a CUDA device a thread makes the next batch, in memory that is pinned, while the one before is computed with.
    """

    def __init__(
        self,
        data: PreparedData,
        device: torch.device,
        batch_size: int,
        ranks: Ranks = ALONE,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.ranks = ranks
        self._augmentation = augmentation
        self._data = data
        self._device = device
        self._batch_size = batch_size
        self._is_cuda = device.type == "cuda"

    def shuffled(self, rows: Rows, seed: int, done: int = 0) -> Iterator[Batch]:
        """One pass over `rows` in the order that `seed` gives, without its first `done` batches: none of their rows is
        decoded. Seed and number are the whole sampler state.

        Every process gets its share of each batch. These batches are for optimisation steps, and the only ones whose
        inputs are augmented; what is measured is looked at `in_order`.
        """
        return self._ahead(self._shuffled(rows, seed, done))

    def _shuffled(self, rows: Rows, seed: int, done: int) -> Iterator[Batch]:
        order = np.random.default_rng(seed).permutation(rows)
        for start in range(done * self._batch_size, len(order), self._batch_size):
            whole = order[start : start + self._batch_size]
            own = self.ranks.share(len(whole))
            chosen = whole[own]
            inputs = self._inputs(chosen)
            if self._augmentation:
                place = derive(seed, "augment", start // self._batch_size)
                inputs = self._augmentation(inputs, seed=place, rows=len(whole), own=own)
            yield Batch(inputs, self._tensor(self._data.targets[chosen]), len(whole), self.ranks)

    def per_pass(self, rows: Rows) -> int:
        """How many batches one pass over `rows` has."""
        return -(-len(rows) // self._batch_size)

    def passes(self, rows: Rows, seeds: Iterable[int], done: int = 0) -> Iterator[Batch]:
        """A pass over `rows` for every seed, one after another, without the first `done` batches of them all."""
        per_pass = self.per_pass(rows)
        for index, seed in enumerate(seeds):
            skipped = min(max(done - index * per_pass, 0), per_pass)
            yield from self.shuffled(rows, seed, skipped)

    def in_order(self, rows: Rows, donors: Mapping[str, Rows] | None = None) -> InOrder:
        """One pass over `rows` as they stand and unaugmented, for measuring.

        A modality that `donors` names takes its inputs from those rows instead (as many as `rows`), and with them
        whether it is there at all.
        """
        places = self.ranks.places(len(rows))
        others = {name: given[places] for name, given in (donors or {}).items()}
        return InOrder(self._ahead(self._in_order(rows[places], others)), len(rows), self.ranks)

    def _in_order(self, rows: Rows, donors: Mapping[str, Rows]) -> Iterator[Batch]:
        for start in range(0, len(rows), MEASURE_BATCH):
            chosen = rows[start : start + MEASURE_BATCH]
            inputs = self._inputs(chosen)
            for name, others in donors.items():
                donated = self._data.of([name]).batch(others[start : start + MEASURE_BATCH])
                inputs |= {entry: self._tensor(array) for entry, array in donated.items()}
            yield Batch(inputs, self._tensor(self._data.targets[chosen]))

    def _ahead(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        return prefetched(self._on_device(batches)) if self._is_cuda else batches

    def _on_device(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        # A thread of its own thinks that its device is the first: of several processes each would take memory there.
        if self._device.index is not None:
            torch.cuda.set_device(self._device)
        yield from batches

    def _inputs(self, rows: Rows) -> dict[str, Tensor]:
        return {name: self._tensor(array) for name, array in self._data.batch(rows).items()}

    def _tensor(self, array: NDArray[np.float32] | NDArray[np.int64]) -> Tensor:
        tensor = torch.from_numpy(array)
        if self._is_cuda:  # the copy is queued behind what the device still computes, and this process goes on
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._device)


def with_tick(batches: Iterator[Batch], tick: Callable[[int], None]) -> Iterator[Batch]:
    """Tells `tick` the size of each whole batch once it has been worked on."""
    for batch in batches:
        yield batch
        tick(batch.total)
