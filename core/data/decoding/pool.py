"""Decoders at work: who gets which file, and what becomes of those that one of them does not survive."""

from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType

from core.data.blobs import Blob, BytesBlob
from core.data.decoding.process import Decoder, Task
from core.data.modalities.files import Decoded, Numbered, Recipe, numbered
from core.data.problems import SampleError

FEWEST_FILES = 64
"""With fewer, the start of a process takes longer than it saves."""
_AT_ONCE = 16
"""Files that a decoder is told of at once, of at most so many bytes in all where they are sent themselves."""
_BYTES_AT_ONCE = 4 * 2**20
_LOW = 8
"""A decoder with fewer files left is told of more: it should never wait, and nobody else for what it has."""
_TICK = 0.25


class DecoderPool:
    """Up to `processes` decoders, started when there is something to do for them (`core.data.modalities.files.Files`).

    To be used in one thread, the one that lives longest: the decoders end with it. In flight are at most 24 files per
    process, and of what is decoded one file per process and what two pipes hold.
    """

    def __init__(self, processes: int, file_seconds: float) -> None:
        """`file_seconds`: how long one file may take."""
        self._most = processes
        self._seconds = file_seconds
        self._decoders: list[Decoder] = []
        self._selector = selectors.DefaultSelector()
        self._clock = self._looked = 0.0

    def __enter__(self) -> DecoderPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for decoder in list(self._decoders):
            self._end(decoder)
        self._selector.close()

    def worth(self, blobs: Sequence[Blob | None]) -> DecoderPool | None:
        """This pool, where starting processes pays for so many files and there may be any."""
        return self if self._most > 0 and len(numbered(blobs)) >= FEWEST_FILES else None

    @property
    def pids(self) -> list[int]:
        """Process ids of the decoders that there are."""
        return [decoder.pid for decoder in self._decoders]

    def each(self, recipe: Recipe, files: Sequence[Numbered]) -> Iterator[tuple[int, Decoded]]:
        """See `Files.each`. A file at which two decoders died is `file.undecodable`, one that takes too long
        `file.too_slow`."""
        waiting = deque(Task(row, blob) for row, blob in files)
        self._looked = time.monotonic()
        try:
            while waiting or any(decoder.tasks for decoder in self._decoders):
                self._hand_out(recipe, waiting)
                for task, found in self._look(waiting):
                    yield task.row, found
        finally:
            # Only where somebody has lost interest, or nothing can be decoded: answers to come would be taken for
            # those to the next question.
            for decoder in [decoder for decoder in self._decoders if decoder.tasks]:
                self._end(decoder)

    def _hand_out(self, recipe: Recipe, waiting: deque[Task]) -> None:
        while waiting:
            decoder = min(self._decoders, key=lambda decoder: len(decoder.tasks), default=None)
            if decoder is None or (decoder.tasks and len(self._decoders) < self._most):
                decoder = self._start()
            if len(decoder.tasks) >= _LOW:
                return
            if not decoder.tasks:
                decoder.since = self._clock
            decoder.take(recipe, self._some(waiting))
            if decoder.has_unsent and decoder.commands not in self._selector.get_map():
                self._selector.register(decoder.commands, selectors.EVENT_WRITE, decoder)

    def _some(self, waiting: deque[Task]) -> list[Task]:
        """The next files for one decoder: few towards the end, so that all end at about the same time."""
        some: list[Task] = []
        most = max(1, min(_AT_ONCE, len(waiting) // (2 * self._most)))
        size = 0
        while waiting and len(some) < most and size < _BYTES_AT_ONCE:
            task = waiting.popleft()
            some.append(task)
            size += len(task.blob.content) if isinstance(task.blob, BytesBlob) else 0
        return some

    def _look(self, waiting: deque[Task]) -> Iterator[tuple[Task, Decoded]]:
        """Wait for news, and tell them; whoever died, or takes too long, is buried, and its files wait again."""
        ready = self._selector.select(_TICK)
        now = time.monotonic()
        # A clock that stands still while this process does (it was suspended, or its caller had other things to do).
        self._clock += min(now - self._looked, 4 * _TICK)
        self._looked = now
        silent = {id(decoder): decoder for decoder in self._decoders}
        for key, events in ready:
            decoder: Decoder = key.data
            if decoder.has_ended:
                continue
            if events & selectors.EVENT_WRITE:
                decoder.flush()
                if not decoder.has_unsent:
                    self._selector.unregister(decoder.commands)
                continue
            silent.pop(id(decoder), None)
            yield from decoder.answered(self._clock)
            if decoder.has_ended:
                yield from self._died(decoder, waiting)
        for decoder in silent.values():
            if decoder.tasks and decoder.is_ready and self._clock - decoder.since > self._seconds:
                yield from self._took_too_long(decoder, waiting)

    def _died(self, decoder: Decoder, waiting: deque[Task]) -> Iterator[tuple[Task, Decoded]]:
        how = self._end(decoder)
        if not decoder.is_ready:
            raise RuntimeError(f"a decoder ended before it had begun ({how}); what it said is above")
        if not decoder.tasks:
            return
        task = _culprit(decoder, waiting)
        if task.has_crashed:
            yield task, Decoded(b"", error=SampleError("file.undecodable", f"the decoder crashed ({how})"))
        else:  # once may be an accident: memory that ran out, an operator's hand
            task.has_crashed = True
            waiting.appendleft(task)

    def _took_too_long(self, decoder: Decoder, waiting: deque[Task]) -> Iterator[tuple[Task, Decoded]]:
        self._end(decoder)
        task = _culprit(decoder, waiting)
        detail = f"it was not decoded within {self._seconds:g} s"
        yield task, Decoded(b"", error=SampleError("file.too_slow", detail))

    def _start(self) -> Decoder:
        decoder = Decoder()
        self._decoders.append(decoder)
        self._selector.register(decoder.answers, selectors.EVENT_READ, decoder)
        return decoder

    def _end(self, decoder: Decoder) -> str:
        self._decoders.remove(decoder)
        self._selector.unregister(decoder.answers)
        if decoder.commands in self._selector.get_map():
            self._selector.unregister(decoder.commands)
        return decoder.kill()


def _culprit(decoder: Decoder, waiting: deque[Task]) -> Task:
    """The file that a decoder was at when it ended; those after it wait for another one."""
    task = decoder.tasks.popleft()
    waiting.extendleft(reversed(decoder.tasks))
    decoder.tasks.clear()
    return task
