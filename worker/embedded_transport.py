"""kombu's filesystem transport, made safe to read while others write.

kombu's own consumer may take a message file between its creation and its first byte (49 of 1 500 messages under load),
and what it then raises ends the worker. Here the taker waits for the writer's lock; a message that is still unreadable
counts as lost: a wake-up may be, the table is the outbox. Senders may use kombu's own transport:
the files are the same.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any, TypeVar

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps, loads

T = TypeVar("T")
log = logging.getLogger(__name__)

SCHEME = "gblend-files"
_DRAIN_SECONDS = 0.5
_PATIENCE_SECONDS = 0.5
_PAUSE_SECONDS = 0.01


class Channel(filesystem.Channel):
    """Takes messages by renaming them in place, reads them only once they are whole."""

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        folder = Path(self.data_folder_in)
        for name in sorted(os.listdir(folder)):
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            taken = folder / f"{name}.taken"
            try:
                (folder / name).rename(taken)
            except FileNotFoundError:  # another worker was quicker
                continue
            payload = _patiently(lambda path=taken: _read(path))  # type: ignore[misc]
            taken.unlink(missing_ok=True)
            if payload is not None:
                return payload
            log.warning("unreadable wake-up dropped", extra={"file": name})
        raise Empty

    def _put(self, queue: str, message: Any, **_: Any) -> None:  # type: ignore[override] # the stubs lack the keywords
        folder = Path(self.data_folder_out)
        final = folder / f"{time.monotonic_ns() // 1_000_000}_{os.urandom(16).hex()}.{queue}.msg"
        written = final.with_name(f".{final.name}.new")
        written.write_text(dumps(message))
        written.rename(final)

    def get_table(self, exchange: str) -> Any:
        """The queues of an exchange, once its table is whole."""
        table = _patiently(lambda: super(Channel, self).get_table(exchange))
        if table is None:
            raise ChannelError(f"the table of exchange {exchange!r} is unreadable")
        return table

    def _queue_bind(self, exchange: str, routing_key: Any, pattern: Any, queue: str) -> None:
        """Make the table of an exchange whole from its first moment; one that another process left empty, anew."""
        table = self.control_folder / f"{exchange}.exchange"
        if not table.exists():
            _create(table)
        if _patiently(lambda: super(Channel, self)._queue_bind(exchange, routing_key, pattern, queue) or True) is None:
            table.unlink(missing_ok=True)
            _create(table)
            super()._queue_bind(exchange, routing_key, pattern, queue)


class Transport(filesystem.Transport):
    """`gblend-files://`."""

    Channel = Channel

    def drain_events(  # type: ignore[override] # the stubs lack the arguments
        self, connection: Any, timeout: float | None = None
    ) -> None:
        """Come back soon, so that a worker that is told to stop does."""
        super().drain_events(connection, timeout=min(timeout or _DRAIN_SECONDS, _DRAIN_SECONDS))


def register() -> None:
    """Let kombu know the scheme."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


def _create(table: Path) -> None:
    """An empty table, unless somebody else is quicker."""
    written = table.with_name(f".{table.name}.{os.urandom(8).hex()}")
    written.write_text("[]")
    try:
        os.link(written, table)
    except FileExistsError:
        return
    finally:
        written.unlink()


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # a writer holds it exclusively from its first moment to its last byte
        return loads(file.read())


def _patiently(read: Callable[[], T]) -> T | None:
    """What `read` returns, once it is no longer torn; `None` if it stays so."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return read()
        except ValueError:
            if time.monotonic() > deadline:
                return None
            time.sleep(_PAUSE_SECONDS)
