"""Previewers at work: who is asked, how long is waited, and what becomes of files that one of them does not survive.

Imports no NumPy: the API builds it when it starts, and most questions never come.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from core.data.decoding.frames import Frames, frame
from core.errors import ConflictError, DataError, GblendError, Issue, LimitError, NotFoundError, SpecError

Question = dict[str, Any]

MOST_WAITING = 16
"""Questions beyond those that are being answered: one more is told to come later."""
_MOST_BYTES = 32 * 2**20
"""Of an answer."""
_FILE_SECONDS = 5.0
"""That one file's header may take."""
_MOST_BAD = 4
"""Files of a page that their readers do not survive; of more, there is no page."""
_PIECE = 2**20
_LAST_WORDS = 2.0
_GONE = ("value.missing", "file.missing")
_KINDS: dict[str, type[GblendError]] = {
    "SpecError": SpecError,
    "NotFoundError": NotFoundError,
    "ConflictError": ConflictError,
}
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_MEMORY = {
    "ARROW_DEFAULT_MEMORY_POOL": "system"
}  # its own one takes a gigabyte at once, before there is anything in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelved:
    """A registered data set, as a previewer is told of it."""

    id: str
    registration: Mapping[str, Any]
    roots: Mapping[str, Path]

    def question(self, wanted: str, seconds: float) -> Question:
        """What all questions have."""
        return {
            "wanted": wanted,
            "dataset": self.id,
            "registration": self.registration,
            "roots": {name: os.fspath(folder) for name, folder in self.roots.items()},
            "seconds": seconds / 2,
        }


class Previewer:
    """Up to `processes` previewers, started when they are needed. Thread-safe.

    A question that takes longer than `seconds` ends the one that was asked; each may take `memory_bytes`.
    """

    def __init__(self, *, processes: int, seconds: float, memory_bytes: int) -> None:
        self._most, self._seconds, self._memory = processes, seconds, memory_bytes
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()
        self._waiting = 0
        self._changed = threading.Condition()

    def close(self) -> None:
        """End them all; who waits for an answer is told that it failed."""
        with self._changed:
            every = [*self._idle, *self._busy]
            self._idle.clear()
        for process in every:
            process.kill()

    def rows(
        self, dataset: Shelved, *, part: str | None, name: str | None, after: int | None, limit: int
    ) -> dict[str, Any]:
        """`{"rows": [...], "total", "has_more", "fingerprint"}`; see `core.data.previews.values` for a row.

        A file whose reader dies, or takes too long, is told as such. Raises ConflictError (`dataset.unreadable`),
        SpecError (`dataset.unknown_class`), DataError (`preview.*`), LimitError (`preview.busy`).
        """
        question = dataset.question("rows", self._seconds)
        question |= {"part": part, "class": name, "after": after, "limit": limit, "skip": []}
        while True:
            try:
                return self._ask(question)[0]
            except _LostError as lost:
                if lost.at is None or len(question["skip"]) == _MOST_BAD:
                    raise _failed(lost) from None
                question["skip"] = [*question["skip"], [*lost.at, _wrong(lost)]]

    def shown(self, dataset: Shelved, wanted: Literal["picture", "sound"], row: int, modality: str) -> bytes:
        """A PNG or a WAV of one file.

        Raises NotFoundError where there is none (`sample.not_found`, `modality.not_found`, `preview.not_found`,
        `value.missing`, `file.missing`), DataError where it cannot be decoded, and what `rows` does.
        """
        question = dataset.question(wanted, self._seconds) | {"row": row, "modality": modality}
        try:
            return self._ask(question)[1]
        except _LostError as lost:
            wrong = _wrong(lost)
            raise DataError(wrong["detail"], code=wrong["code"]) from None

    def _ask(self, question: Question) -> tuple[dict[str, Any], bytes]:
        try:
            with self._one(question["dataset"]) as process:
                is_used = process.dataset is not None
                header, payload = process.ask(question, self._seconds)
        except _LostError as lost:
            if not is_used or lost.is_slow or lost.at is not None:
                raise
            # It may have ended just then, as nobody had asked for a while.
            with self._one(question["dataset"]) as process:
                header, payload = process.ask(question, self._seconds)
        if "error" in header:
            raise _refused(header["error"])
        return header, payload

    @contextmanager
    def _one(self, dataset: str) -> Iterator[_Process]:
        """One that is idle, if possible one that has the data set open; it comes back unless it has ended."""
        process = self._take(dataset)
        try:
            yield process
        finally:
            with self._changed:
                self._busy.discard(process)
                if not process.has_ended:
                    process.dataset = dataset
                    self._idle.append(process)
                self._changed.notify()

    def _take(self, dataset: str) -> _Process:
        end = time.monotonic() + self._seconds
        with self._changed:
            if self._waiting >= MOST_WAITING:
                raise _busy()
            self._waiting += 1
            try:
                while len(self._busy) >= self._most:
                    if not self._changed.wait(end - time.monotonic()):
                        raise _busy()
            finally:
                self._waiting -= 1
            while self._idle:
                place = next((k for k, each in enumerate(self._idle) if each.dataset == dataset), -1)
                process = self._idle.pop(place)
                if process.is_alive():  # it ends by itself when nobody asks
                    break
                process.kill()
            else:
                process = _Process(self._memory, self._seconds)
            self._busy.add(process)
            return process


class _LostError(Exception):
    """A previewer ended before it had answered. `at`: row and modality that it was at, where it had said so."""

    def __init__(self, how: str, *, is_slow: bool, at: tuple[int, str] | None) -> None:
        super().__init__(how)
        self.how, self.is_slow, self.at = how, is_slow, at


class _Process:
    """One previewer as this side sees it. One question at a time."""

    def __init__(self, memory_bytes: int, seconds: float) -> None:
        # What the service itself is told by its environment (the database's address) is none of its business.
        plain = {name: value for name, value in os.environ.items() if not name.startswith("GBLEND_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "core.data.previews", json.dumps({"memory": memory_bytes, "seconds": seconds})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**_ENVIRONMENT, **plain, **_MEMORY},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._answers, selectors.EVENT_READ)
        self.dataset: str | None = None
        self.has_ended = False

    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, question: Question, seconds: float) -> tuple[dict[str, Any], bytes]:
        """Its answer. Raises _LostError, and then it has ended."""
        at: tuple[int, str] | None = None
        done = False
        end = time.monotonic() + seconds
        frames = Frames(_MOST_BYTES)
        try:
            self._commands.write(frame(question))
            while True:
                left = end - time.monotonic()
                if not self._selector.select(max(0.0, left if at is None else min(left, _FILE_SECONDS))):
                    raise _LostError(f"it took longer than {seconds:g} s", is_slow=True, at=at)
                piece = os.read(self._answers.fileno(), _PIECE)
                if not piece:
                    raise _LostError(self._end(), is_slow=False, at=at)
                for header, payload in frames.fed(piece):
                    if "at" not in header:
                        done = True
                        return header, bytes(payload)
                    at = (int(header["at"][0]), str(header["at"][1]))
        except (OSError, ValueError) as error:  # a closed pipe, or an answer that is none
            raise _LostError(str(error), is_slow=False, at=at) from None
        finally:
            if not done:
                self.kill()

    def kill(self) -> None:
        """End it. May be repeated."""
        self.has_ended = True
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._selector.close()
        self._commands.close()
        self._answers.close()

    def _end(self) -> str:
        """How it ended, in words; for one that has said its last word."""
        try:
            code = self._process.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            return "it closed its mouth"
        if code >= 0:
            return f"exit status {code}"
        return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"


def _wrong(lost: _LostError) -> dict[str, str]:
    if lost.is_slow:
        return {"code": "file.too_slow", "detail": lost.how}
    return {"code": "file.undecodable", "detail": f"its reader crashed ({lost.how})"}


def _failed(lost: _LostError) -> DataError:
    if lost.is_slow:
        detail = f"the data set could not be looked at: {lost.how}"
        return DataError(detail, code="preview.too_slow", hint="a job may take longer: it is not concerned")
    hint = "the operator finds the reason in the log"
    return DataError(f"the data set's reader crashed ({lost.how})", code="preview.failed", hint=hint)


def _refused(told: Mapping[str, Any]) -> GblendError:
    kind = NotFoundError if told["code"] in _GONE else _KINDS.get(told["kind"], DataError)
    issues = tuple(Issue.from_json(issue) for issue in told["issues"])
    return kind(told["detail"], code=told["code"], hint=told["hint"], issues=issues)


def _busy() -> LimitError:
    return LimitError("other samples are being looked at", code="preview.busy", hint="ask again in a few seconds")
