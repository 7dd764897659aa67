"""A thread for what may be late: sweeps that wait for stores and disks must hold up nobody who looks after leases."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence

from sqlalchemy.exc import DBAPIError

log = logging.getLogger(__name__)


class Housekeeper:
    """Does chores one after the other, every `seconds`; the first time at once. A chore may raise anything.

    It runs in every worker and in the API process, without a leader: every chore is idempotent.
    """

    def __init__(self, chores: Sequence[Callable[[], object]], seconds: float) -> None:
        self._chores = chores
        self._seconds = seconds
        self._jitter = random.Random()  # of its own: the global one belongs to whoever seeds it
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread after the chore at hand."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def run_once(self) -> None:
        """Every chore, once."""
        for chore in self._chores:
            if self._stopping.is_set():
                return
            try:
                chore()
            except DBAPIError as error:
                log.warning("database not reachable; trying again", extra={"error": str(error.orig)})
            except Exception:  # one that fails must not keep the others from being done
                log.exception("chore failed; trying again later")

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self.run_once()
            # Not all processes at the same moment.
            self._stopping.wait(self._seconds * self._jitter.uniform(0.8, 1.2))
