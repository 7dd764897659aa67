"""What the training process prints: lines with a time and a level, for people, kept as the job's log.

Everything goes to standard error, which the worker collects: what the training tells, warnings of libraries, and the
traceback of a crash.
"""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

log = logging.getLogger("gblend.training")

_CHATTY = ("PIL", "fsspec", "matplotlib", "numba", "asyncio")


class _Lines(logging.Formatter):
    """`2026-01-02T03:04:05.678Z INFO    Epoch 1 is over`, in UTC."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"
    name = ""

    def format(self, record: logging.LogRecord) -> str:
        record.whose = self.name
        return super().format(record)


def set_up(rank: int = 0) -> None:
    """Called where the process starts. Of several that train together the first speaks for all; the others only warn,
    and say which they are."""
    handler = logging.StreamHandler(sys.stderr)
    lines = _Lines(f"%(asctime)s %(levelname)-7s %(whose)s{f'[process {rank}] ' if rank else ''}%(message)s")
    lines.converter = time.gmtime
    handler.setFormatter(lines)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if rank else logging.INFO)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _crashed


def name_lines(name: str) -> None:
    """Let every line of this process say whose it is, where the log of a job is that of several processes."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, _Lines):
            handler.formatter.name = f"[{name}] "


def _crashed(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    log.critical("the training crashed: %s", kind.__name__, exc_info=(kind, error, at))
