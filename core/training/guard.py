"""A training process must not outlive the supervisor that answers for it, and must hear when it should stop."""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ends this process at once when its supervisor is gone: by the kernel's signal, and by end of file on its input.

    Only where standard input is a pipe, which is how a supervisor starts it; by hand in a terminal nothing happens.
    """
    if not stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch_input, name="parent-watch", daemon=True).start()


def stop_flag() -> Callable[[], bool]:
    """A function that says whether SIGTERM has come."""
    event = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: event.set())
    return event.is_set


def _watch_input() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        continue
    os._exit(1)
