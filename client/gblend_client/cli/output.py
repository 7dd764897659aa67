"""What the command prints, and where: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from rich.console import Console, RenderableType
from rich.text import Text

from gblend_client.errors import APIError, GblendError, InvalidInput, ProblemItem, RateLimited, ServerError
from gblend_client.types import Event, LogChunk, _Object

Row = TypeVar("Row", bound=_Object)

OK = 0
JOB_FAILED = 1
USAGE = 2
REFUSED = 3
UNREACHABLE = 4
INTERRUPTED = 130
BROKEN_PIPE = 141

_PLAIN_WIDTH = 200  # a pipe has no width: wide enough that no table is cut
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def exit_code(error: GblendError) -> int:
    """The exit code that an error means."""
    if isinstance(error, InvalidInput):
        return USAGE
    if isinstance(error, APIError) and not isinstance(error, ServerError | RateLimited):
        return REFUSED
    return UNREACHABLE


def clean(text: str) -> str:
    """Text of the service or of a file on one line, without what a terminal would obey."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", re.sub(r"[\t\n\r]+", " ", text))


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


class Output:
    """The two streams, and whether JSON is wanted."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.out = _Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
        self.err = _Console(stderr=True, highlight=False)

    @property
    def is_live(self) -> bool:
        """Whether a table may be redrawn in place."""
        return not self.as_json and self.out.is_terminal and not self.out.is_dumb_terminal

    def data(self, value: Mapping[str, Any]) -> None:
        """One line of JSON."""
        sys.stdout.write(json.dumps(value, ensure_ascii=False, default=dict) + "\n")
        sys.stdout.flush()

    def line(self, text: str) -> None:
        """One line for people, as it is."""
        self.out.print(Text(clean(text)), soft_wrap=True)

    def plain(self, text: str) -> None:
        """A text of our own, with its line breaks."""
        self.out.print(Text(text), soft_wrap=True, end="")

    def event(self, event: Event) -> None:
        """One event, as a line."""
        if self.as_json:
            self.data(event.raw)
            return
        moment = "" if event.created_at is None else f"{event.created_at:%H:%M:%S}  "
        level = "" if event.level == "info" else f"{event.level}: "
        self.line(f"{moment}{event.seq:>4}  {event.type:<20}  {level}{event.message}")

    def log(self, chunk: LogChunk) -> None:
        """A piece of a training's log, line by line."""
        if self.as_json:
            self.data(chunk.raw)
            return
        for line in chunk.text.removesuffix("\n").split("\n"):
            self.line(line)

    def show(self, drawing: RenderableType) -> None:
        """A table or the like."""
        self.out.print(drawing)

    def rows(self, found: Sequence[Row], drawing: Callable[[Sequence[Row]], RenderableType], nothing: str) -> None:
        """A list: as a table, as one JSON object, or where it is empty, that there is nothing."""
        if self.as_json:
            self.data({"object": "list", "data": [row.raw for row in found]})
        elif found:
            self.show(drawing(found))
        else:
            self.note(nothing)

    def note(self, text: str) -> None:
        """A remark beside the results."""
        self.err.print(Text(clean(text)), soft_wrap=True)

    def warnings(self, items: Sequence[ProblemItem]) -> None:
        """What was odd, though accepted."""
        for line in _lines(items):
            self.note(line)

    def error(self, error: GblendError) -> None:
        """What went wrong, with pointers and hints; as JSON where JSON is wanted."""
        if self.as_json:
            sys.stderr.write(json.dumps({"error": as_json(error)}, ensure_ascii=False) + "\n")
            return
        self.err.print(Text.assemble(("error: ", "bold red"), clean(str(error))), soft_wrap=True)
        for line in _lines(getattr(error, "errors", ())):
            self.note(line)
        if error.hint:
            self.note(f"  hint: {error.hint}")
        if isinstance(error, ServerError) and error.request_id:
            self.note(f"  request: {error.request_id}")


def as_json(error: GblendError) -> dict[str, Any]:
    """An error as JSON, without the fields that say nothing."""
    raw: dict[str, Any] = {"type": type(error).__name__, "detail": error.detail, "hint": error.hint}
    if isinstance(error, APIError):
        raw |= {"status": error.status, "code": error.code, "request_id": error.request_id}
        raw["errors"] = [problem_json(item) for item in error.errors]
    return {key: value for key, value in raw.items() if value not in (None, [])}


def problem_json(item: ProblemItem) -> dict[str, Any]:
    """A problem as JSON, without the fields that say nothing."""
    raw = {name: getattr(item, name) for name in ProblemItem.__dataclass_fields__}
    return {key: value for key, value in raw.items() if value not in (None, ())}


def _lines(items: Sequence[ProblemItem]) -> list[str]:
    found = []
    for item in items:
        place = item.pointer or item.parameter
        found.append(f"  {item.severity}: {f'{place}: ' if place else ''}{item.detail} [{item.code}]")
        if item.examples:
            more = f" (of {item.count})" if item.count and item.count > len(item.examples) else ""
            found.append(f"    for example: {', '.join(item.examples)}{more}")
        elif item.sample:
            found.append(f"    sample: {item.sample}")
        if item.hint:
            found.append(f"    hint: {item.hint}")
    return found
