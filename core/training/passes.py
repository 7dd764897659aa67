"""A pass over the training rows, which may be cut off after any step and taken up again there.

    under_way = Pass(session.counters, meter)
    batches = session.batches.shuffled(rows, seed, done=under_way.done)
    train_pass(learners, with_tick(batches, under_way.tick))
    ended = under_way.end()

Between two steps everything that a checkpoint holds is consistent: the parameters, optimizers, random streams and rules
are those after `Counters.under_way.done` steps. So it is there that one may be taken, and that a run may end.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from core.training.counters import Counters, Position
from core.training.progress import ProgressMeter


class Pass:
    """Keeps `Counters.under_way` while a pass is made: its first one, or what is left of one that was cut off."""

    def __init__(self, counters: Counters, meter: ProgressMeter) -> None:
        self._counters = counters
        self._meter = meter
        self._since = time.perf_counter()

    @property
    def done(self) -> int:
        """Steps that must not be taken again."""
        return self._counters.under_way.done

    def tick(self, samples: int) -> None:
        """One more step is done, of so many samples; raises `Stopped` if the run should end here."""
        position = self._counters.under_way
        position.done += 1
        position.samples += samples
        self._charge()
        self._meter.step(samples)
        self._since = time.perf_counter()

    def times(self, heads: int) -> Callable[[int], None]:
        """A tick for a pass in which every sample goes through so many heads."""
        return lambda samples: self.tick(samples * heads)

    def end(self) -> Position:
        """The pass is over; returns the whole of it, whoever began it. The next one is at its start."""
        self._charge()
        ended, self._counters.under_way = self._counters.under_way, Position()
        return ended

    def _charge(self) -> None:
        self._counters.under_way.seconds += time.perf_counter() - self._since
