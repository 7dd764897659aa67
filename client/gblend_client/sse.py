"""An incremental parser of `text/event-stream`, exact to the letter of the standard.

Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream". Bytes may arrive cut anywhere, inside a character or
between CR and LF; the outcome never depends on where. An event that the end of the stream cuts off is dropped, as the
standard says. One addition: comments come out too, because a ping proves that the connection lives.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One dispatched event."""

    data: str
    event: str = "message"
    id: str = ""
    """The last id that the stream set, not necessarily in this event."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A line that begins with a colon."""

    text: str


class EventStreamParser:
    """Feed it bytes, get messages. One parser per connection; `ValueError` for an event longer than `max_chars`."""

    def __init__(self, *, max_chars: int = 16 * 1024 * 1024) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._max_chars = max_chars
        self._at_start = True
        self._after_cr = False
        self._line: list[str] = []  # pieces of the line that has not ended yet
        self._data: list[str] = []
        self._event = ""
        self._held = 0  # characters of the event so far
        self._id = ""
        self.retry_ms: int | None = None
        """The reconnection time that the stream asked for last."""

    def feed(self, chunk: bytes) -> list[Message | Comment]:
        """Everything that `chunk` completes, in order."""
        text = self._decode(chunk)
        if self._at_start and text:
            text = text.removeprefix("\ufeff")
            self._at_start = False
        found: list[Message | Comment] = []
        for line in self._lines(text):
            item = self._interpret(line)
            if item is not None:
                found.append(item)
        if self._held + sum(map(len, self._line)) > self._max_chars:
            raise ValueError(f"an event of more than {self._max_chars} characters")
        return found

    def _lines(self, text: str) -> list[str]:
        if text and self._after_cr:
            text = text.removeprefix("\n")  # the LF of a CRLF whose CR ended the chunk before
            self._after_cr = False
        if text.endswith("\r"):
            self._after_cr = True
        *ended, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if ended:
            ended[0] = "".join((*self._line, ended[0]))
            self._line.clear()
        self._line.append(rest)
        return ended

    def _interpret(self, line: str) -> Message | Comment | None:
        if not line:
            return self._dispatch()
        self._held += len(line)
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                return Comment(value)
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit() and len(value) < 10:
                self.retry_ms = int(value)
        return None

    def _dispatch(self) -> Message | None:
        data, event = self._data, self._event
        self._data, self._event, self._held = [], "", 0
        if not data:
            return None
        return Message(data="\n".join(data), event=event or "message", id=self._id)
