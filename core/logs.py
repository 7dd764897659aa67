"""Structured logs on standard error: one JSON object per line, or coloured text for people; no passwords.

Code logs through `logging` with `extra={...}` (or structlog); only the entry of a process decides what lines look like.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from core.settings import LogSettings

_SECRETS = (
    (re.compile(r"(://[^:/@\s]*:)[^/\s\"']+@"), r"\1***@"),
    (re.compile(r"(?i)\b((?:password|passwd|secret|token|api_?key)=)[^\s&;,\"']+"), r"\1***"),
)
"""The password of a URL; what is called a secret in a query or a connection string."""


def configure(settings: LogSettings, *, also: Sequence[Processor] = ()) -> None:
    """Send structlog's and the standard library's loggers through one formatter. `also` adds to every line.

    Called where a process starts, never by a library.
    """
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *also,
    ]
    structlog.configure(
        processors=[*first, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # Exceptions become text before anything looks for passwords: a driver's may hold a whole connection string.
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        hide_passwords,
    ]
    if settings.json_lines:
        last.append(structlog.processors.JSONRenderer(default=_as_text))
    else:
        plain = structlog.dev.plain_traceback
        last.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=first, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    logging.captureWarnings(True)  # they would be lines of another form, and might quote a secret
    for chatty in ("kombu", "amqp", "fsspec", "alembic", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def redact(text: str) -> str:
    """`text` without the passwords in it: `redis://user:secret@host` becomes `redis://user:***@host`."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def hide_passwords(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """`redact`, wherever text stands in an event."""
    return {key: _redacted(value) for key, value in event.items()}


def _redacted(value: Any) -> Any:
    match value:
        case str():
            return redact(value)
        case dict():
            return {key: _redacted(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_redacted(inner) for inner in value]
        case None | bool() | int() | float():
            return value
    return redact(str(value))


def _as_text(value: object) -> str:
    return redact(str(value))
