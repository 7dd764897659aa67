"""What a check of the doctor says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from core.logs import redact

T = TypeVar("T")

Status = Literal["ok", "warning", "problem"]
_LONGEST = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: what was found, and, unless it is well, what to do."""

    check: str
    status: Status
    found: str
    hint: str | None = None


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check=check, status="ok", found=found)


def warning(check: str, found: str, hint: str) -> Finding:
    """The service works, but not as one might think."""
    return Finding(check=check, status="warning", found=found, hint=hint)


def problem(check: str, found: str, hint: str) -> Finding:
    """Jobs cannot be taken, or not be run."""
    return Finding(check=check, status="problem", found=found, hint=hint)


def counted(number: int, thing: str) -> str:
    """`1 unit`, `2 units`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def told(error: BaseException) -> str:
    """An error in one line, without passwords."""
    first = (str(getattr(error, "orig", None) or error).strip().splitlines() or [""])[0]
    return redact(f"{type(error).__name__}: {first}" if first else type(error).__name__)[:_LONGEST]


def within(seconds: float, action: Callable[[], T]) -> T:
    """What `action` returns or raises; `TimeoutError` where it takes longer. It is then left behind in its thread."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(action())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    if not outcome:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return outcome[0]
