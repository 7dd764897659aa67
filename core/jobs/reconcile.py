"""What makes lost messages and dead workers harmless: the reaper and the dispatcher, in one small loop.

It runs in every worker and in the API process. There is no leader: both halves are idempotent, and two of them at once
pick different rows.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import DBAPIError

from core.jobs.broker import WakeUp
from core.jobs.units import UnitService
from core.settings import EngineSettings

log = logging.getLogger(__name__)

_LATE_SECONDS = (0.05, 0.5)
"""After the moment at which something is due."""


class Reconciler:
    """Reaps expired leases and announces ready units again, every `reap_seconds`, and when one is about to be due.

    `send` carries a wake-up to the workers of its class; whatever it raises, the unit is announced again in the next
    pass. `clock` is the wall clock, which goes on while a laptop sleeps.
    """

    def __init__(
        self,
        units: UnitService,
        send: Callable[[WakeUp], None],
        engine: EngineSettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._units = units
        self._send = send
        self._engine = engine
        self._clock = clock
        self._last_pass: float | None = None
        self._grace_until = 0.0
        self._jitter = random.Random()  # of its own: the global one belongs to whoever seeds it
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="reconcile", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread after the pass at hand."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def run_once(self) -> None:
        """One pass."""
        if self._awake():
            self._units.reap()
        self._dispatch()

    def _awake(self) -> bool:
        """False for one lease after this machine slept: its workers slept too, and shall renew their leases first."""
        moment = self._clock()
        late = self._engine.reap_seconds + self._engine.lease_seconds / 2
        if self._last_pass is not None and moment - self._last_pass > late:
            log.warning("slept for %.0f s; leases get one lease of grace", moment - self._last_pass)
            self._grace_until = moment + self._engine.lease_seconds
        self._last_pass = moment
        clock_went_back = self._grace_until > moment + self._engine.lease_seconds
        return moment >= self._grace_until or clock_went_back

    def _dispatch(self) -> None:
        for wake_up in self._units.take_wake_ups():
            try:
                self._send(wake_up)
            except Exception:  # whatever a broker's client raises: the unit stays in the table
                log.warning("wake-up not sent; trying again later", extra={"unit_id": wake_up.unit_id}, exc_info=True)
                self._units.not_told(wake_up.unit_id)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            # Not all processes at the same moment.
            pause = self._engine.reap_seconds * self._jitter.uniform(0.8, 1.2)
            try:
                self.run_once()
                due = self._units.seconds_until_due()
                if due is not None:
                    pause = min(pause, due + self._jitter.uniform(*_LATE_SECONDS))
            except DBAPIError as error:
                log.warning("database not reachable; trying again", extra={"error": str(error.orig)})
            except Exception:  # a pass that fails must not end all later ones
                log.exception("reconcile pass failed")
            self._stopping.wait(pause)
