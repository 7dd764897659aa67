"""Structured logs on standard error: one JSON object per line, or coloured text for people; no passwords.

Code logs through `logging` with `extra={...}` (or structlog); only the entry of a process decides what lines look like.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from core.settings import LogSettings

_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@/\s]+@")


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
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if settings.json_lines:
        last += [structlog.processors.format_exc_info, hide_passwords, structlog.processors.JSONRenderer(default=str)]
    else:
        last += [hide_passwords, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=first, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for chatty in ("kombu", "amqp", "fsspec", "alembic", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def hide_passwords(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """`redis://user:secret@host` becomes `redis://user:***@host`, wherever it stands."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _PASSWORD.sub(r"\1***@", value)
    return event
