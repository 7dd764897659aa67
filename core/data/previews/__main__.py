"""A previewer: `python -m core.data.previews`, started by `core.data.previews.previewer`, one question at a time.

It ends when standard input does, when nothing was asked for a while, and by the kernel's hand when a question takes
longer than it may. What libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
from typing import Any, BinaryIO

_PIECE = 2**16
_IDLE_SECONDS = 120.0
"""Then the tables that it keeps are given back."""
_GRACE = 5
"""Seconds beyond what a question may take: who asked ends this process himself, unless he has ended."""
_NICE = 5


def main() -> None:
    """Answers until nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the parent hears it, too, and ends
    limits = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (limits["memory"], limits["memory"]))
    os.nice(_NICE)
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0) as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        try:
            _serve(out, limits["seconds"])
        except BrokenPipeError:  # nobody wants to know any more
            return


def _serve(out: BinaryIO, seconds: float) -> None:
    from core.data.decoding.frames import Frames, frame
    from core.data.previews.answering import Answering

    answering = Answering(lambda header: _write(out, frame(header)))
    frames = Frames()
    while select.select([sys.stdin], [], [], _IDLE_SECONDS)[0]:
        piece = os.read(sys.stdin.fileno(), _PIECE)
        if not piece:
            return
        for question, _ in frames.fed(piece):
            signal.setitimer(signal.ITIMER_REAL, seconds + _GRACE)  # its signal ends a process
            header, payload = answering.answer(question)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _write(out, frame(header, payload))


def _write(out: BinaryIO, content: bytes) -> None:
    left: Any = memoryview(content)
    while left:
        left = left[out.write(left) :]


if __name__ == "__main__":
    main()
