"""A training process must not outlive the supervisor that answers for it, and must hear when it should stop."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from collections.abc import Callable
from types import FrameType

from core.processes import end_with_parent


def die_with_parent() -> None:
    """Ends this process at once when its supervisor is gone: by the kernel's signal, and by end of file on its input.

    Only where standard input is a pipe, which is how a supervisor starts it; by hand in a terminal nothing happens.
    """
    if not stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        return
    end_with_parent()
    threading.Thread(target=_watch_input, name="parent-watch", daemon=True).start()


def stop_flag() -> Callable[[], bool]:
    """A function that says whether SIGTERM has come.

    Until it is asked for the first time there is nothing to save, and nobody would look: torch is being imported, the
    data are decoded, which may take minutes. SIGTERM ends the process at once then, with the exit code of a run that
    can be resumed.
    """
    is_asked = has_come = False

    def on_signal(_signal: int, _frame: FrameType | None) -> None:
        nonlocal has_come
        if not is_asked:
            os._exit(os.EX_TEMPFAIL)
        has_come = True

    def should_stop() -> bool:
        nonlocal is_asked
        is_asked = True
        return has_come

    signal.signal(signal.SIGTERM, on_signal)
    return should_stop


def _watch_input() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        continue
    os._exit(1)
