"""How many trainings run at once here, which GPUs each of them sees, and who may take which slots when."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from core.processes import cores


class Held:
    """The slots that one training has, none at first. They go back when the block that holds them is left."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._held: list[int] = []

    @property
    def gpus(self) -> tuple[str, ...]:
        """The GPUs of these slots, each once; empty where there are no GPUs."""
        named = self._slots.gpus
        return tuple(dict.fromkeys(named[slot % len(named)] for slot in self._held)) if named else ()

    def take(self, count: int) -> bool:
        """Takes so many free slots more, all or none; false where there are not so many."""
        taken = self._slots._take(count)
        self._held += taken
        return bool(taken)

    def keep(self, count: int) -> None:
        """Gives back all but so many."""
        self._slots._give_back(self._held[count:])
        del self._held[count:]


class Slots:
    """One slot per device that trainings may use at once; slots share GPUs in turn where there are more slots.

    `turn` is a lock for whoever looks for work: who waits for several slots keeps it meanwhile, so that slots which
    become free add up for him and are not taken, one by one, by those who need one.
    """

    def __init__(self, wanted: int, gpus: tuple[str, ...]) -> None:
        """`wanted` 0: one slot per GPU, or one per CPU core where there is no GPU."""
        self.count = wanted or len(gpus) or cores()
        self.gpus = gpus
        self.turn = threading.Lock()
        self._free = list(range(self.count))
        self._changed = threading.Condition()

    @contextmanager
    def hold(self) -> Iterator[Held]:
        """A block that may take slots; what it has at its end is free again."""
        held = Held(self)
        try:
            yield held
        finally:
            held.keep(0)

    def wait_for(self, count: int, seconds: float) -> bool:
        """Whether so many slots are free, within so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._free) >= count, seconds)

    def _take(self, count: int) -> list[int]:
        with self._changed:
            if len(self._free) < count:
                return []
            # One slot of each GPU first: several devices of one training are different GPUs where they can be.
            gpus = len(self.gpus) or self.count
            before: Counter[int] = Counter()
            rounds: dict[int, int] = {}
            for slot in self._free:
                rounds[slot] = before[slot % gpus]
                before[slot % gpus] += 1
            taken = sorted(self._free, key=rounds.__getitem__)[:count]
            self._free = [slot for slot in self._free if slot not in taken]
            return taken

    def _give_back(self, slots: list[int]) -> None:
        with self._changed:
            self._free += slots
            self._changed.notify_all()
