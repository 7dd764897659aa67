"""One decoder as its pool sees it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from core.data.blobs import Blob
from core.data.decoding.frames import Frames
from core.data.decoding.wire import files_frame, told_decoded
from core.data.modalities.files import Decoded, Recipe
from core.errors import DataError, Issue

_PIECE = 2**20
_LAST_WORDS = 5.0
"""Seconds between a process's last word and its end, at most."""
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # A decoder needs the same few megabytes for every file: giving them back each time costs glibc as much as decoding.
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
}
"""Where the environment says nothing else."""


@dataclass(slots=True)
class Task:
    """A file to be decoded."""

    row: int
    blob: Blob
    has_crashed: bool = False
    """Whether a decoder has died of it, or at it, once."""


class Decoder:
    """A process that decodes, with the files that it has still to answer for, in the order in which it takes them."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "core.data.decoding"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**_ENVIRONMENT, **os.environ},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.commands: IO[bytes] = self._process.stdin
        self.answers: IO[bytes] = self._process.stdout
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # fewer and larger reads; where the system grants no more, as it is
            with suppress(OSError):
                fcntl.fcntl(self.answers, fcntl.F_SETPIPE_SZ, _PIECE)
        # Whoever waits in a write for a decoder that waits in a write for him waits for ever.
        os.set_blocking(self.commands.fileno(), False)
        self.tasks: deque[Task] = deque()
        self.since = 0.0
        """By the pool's clock, when it began with the first of its tasks."""
        self.is_ready = False
        self.has_ended = False
        self._frames = Frames()
        self._unsent: deque[memoryview] = deque()

    @property
    def has_unsent(self) -> bool:
        """Whether `flush` has anything to do."""
        return bool(self._unsent)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def take(self, recipe: Recipe, tasks: Sequence[Task]) -> None:
        """Hand it these files, after those that it has."""
        self.tasks.extend(tasks)
        self._unsent.append(memoryview(files_frame(recipe, [task.blob for task in tasks])))
        self.flush()

    def flush(self) -> None:
        """Send as much of what it was told as it takes now."""
        try:
            while self._unsent:
                sent = self.commands.write(self._unsent[0])
                if sent is None:
                    return
                self._unsent[0] = self._unsent[0][sent:]
                if not self._unsent[0]:
                    self._unsent.popleft()
        except BrokenPipeError:  # it is dead; its answers end, and that is where it is noticed
            self._unsent.clear()

    def answered(self, clock: float) -> Iterator[tuple[Task, Decoded]]:
        """What it has said, once there is something to be read. Raises DataError where nothing can be decoded here."""
        piece = os.read(self.answers.fileno(), _PIECE)
        self.has_ended = not piece
        for header, payload in self._frames.fed(piece):
            self.since = clock
            if "ready" in header:
                self.is_ready = True
            elif "failure" in header:
                raise _failure(header["failure"])
            elif "crash" in header:  # what would have ended this process, had it decoded the file itself
                raise RuntimeError(f"a decoder failed:\n{header['crash']}")
            else:
                yield self.tasks.popleft(), told_decoded(header, payload)

    def kill(self) -> str:
        """End it, if it has not ended; returns how it did, in words."""
        try:
            code = self._process.wait(_LAST_WORDS if self.has_ended else 0.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self.commands.close()
        self.answers.close()
        if code >= 0:
            return f"exit status {code}"
        return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"


def _failure(told: dict[str, Any]) -> DataError:
    issue = Issue(code=told["code"], detail=told["detail"], hint=told["hint"])
    return DataError(issue.detail, code=issue.code, hint=issue.hint, issues=(issue,))
