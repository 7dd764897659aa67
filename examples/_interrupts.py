"""Signals that only set a flag, so that whoever started processes always gets to stop them."""

from __future__ import annotations

import signal
import time
from types import FrameType


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """Somebody wants this program to end."""


class Interrupts:
    """From its creation on, Ctrl-C, SIGTERM and SIGHUP are remembered instead of ending the program at once.

    A plain number and short sleeps rather than a `threading.Event`: a handler that calls `set()` while the main thread
    is inside `wait()` can deadlock on the event's own lock.
    """

    def __init__(self) -> None:
        self.exit_status = 0
        """What a shell expects of a program that a signal ended: 130 for Ctrl-C, 143 for SIGTERM; 0: none came."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.exit_status = self.exit_status or 128 + number

    def check(self) -> None:
        """Raise `Interrupted` if a signal came."""
        if self.exit_status:
            raise Interrupted

    def pause(self, seconds: float) -> None:
        """Sleep (a tenth of a second at most: nothing wakes it), then `check`."""
        time.sleep(min(seconds, 0.1))
        self.check()
