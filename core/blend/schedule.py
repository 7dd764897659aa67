"""Super-epochs: for how many epochs one set of weights holds (paper, Algorithms 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SuperEpoch:
    """Epochs `[first_epoch, first_epoch + epochs)` of the run, 0-based."""

    index: int
    first_epoch: int
    epochs: int
    estimated: bool = True
    """False: a warm-up, equal weights without an estimate."""

    @property
    def end(self) -> int:
        """The first epoch after it."""
        return self.first_epoch + self.epochs


def offline(epochs: int) -> tuple[SuperEpoch, ...]:
    """One super-epoch that is the whole run: one estimate from the initial model, over the whole length."""
    return online(epochs, first=epochs, later=epochs)


def online(epochs: int, *, first: int, later: int, warm_up: int = 0) -> tuple[SuperEpoch, ...]:
    """A first super-epoch of its own length, then equal ones; the last may be shorter, and no epoch is dropped.

    The paper's lengths are 10 and 5: `online(22, first=10, later=5)` has lengths 10, 5, 5, 2. With `warm_up` a
    super-epoch of that many epochs that is not estimated stands before them (it is all there is where the run is not
    longer).
    """
    if min(epochs, first, later) < 1:
        raise ValueError(f"epochs, first and later must be at least 1; got {epochs}, {first}, {later}")
    if warm_up < 0:
        raise ValueError(f"warm_up must be at least 0; got {warm_up}")
    schedule: list[SuperEpoch] = []
    start = min(warm_up, epochs)
    if start:
        schedule.append(SuperEpoch(0, 0, start, estimated=False))
    length = first
    while start < epochs:
        schedule.append(SuperEpoch(len(schedule), start, min(length, epochs - start)))
        start = schedule[-1].end
        length = later
    return tuple(schedule)
