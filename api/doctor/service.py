"""Checks of what the processes share: database, broker, artifact store, workers."""

from __future__ import annotations

import secrets
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from api.doctor.finding import Finding, counted, ok, problem, told, warning, within
from api.queue import UnitQueue
from core.artifacts import ArtifactStore
from core.errors import GblendError
from core.jobs.broker import embedded_folders
from core.jobs.figures import FigureService
from core.jobs.workers import WorkerService
from core.logs import redact
from core.persistence import Database
from core.persistence.engine import now
from core.persistence.schema import Schema, SchemaError, state_of
from core.settings import Settings

_PATIENCE_SECONDS = 15.0
_BUSY_SECONDS = 2.0
_CLOCK_SECONDS = 2.0
_PROBE = b"written by gblend-server doctor; may be deleted\n"
_DATABASE_HINT = "is GBLEND_DATABASE__URL right, and is the database up?"


def check_database(settings: Settings) -> Iterator[Finding]:
    """In reach, of this code's schema; then what its tables tell."""
    try:
        url = make_url(settings.database_url)
    except ArgumentError:  # its text may quote the URL
        yield problem("database", "GBLEND_DATABASE__URL is no URL", "postgresql://user@host/name or sqlite:///path")
        return
    name = redact(url.render_as_string(hide_password=True))
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite and not Path(url.database or "").is_file():  # opening it would make it
        yield problem(
            "database",
            f"{name}: there is no such file yet",
            "run `gblend-server migrate`; `gblend-server up` does it by itself",
        )
        return
    try:
        database = Database(settings.database_url, pool_size=1)
    except (ValueError, OSError, SQLAlchemyError) as error:
        yield problem("database", f"{name}: {told(error)}", _DATABASE_HINT)
        return
    with closing(database):
        try:
            within(_PATIENCE_SECONDS, database.ping)
        except (SQLAlchemyError, TimeoutError) as error:
            yield problem("database", f"{name}: {told(error)}", _DATABASE_HINT)
            return
        yield ok("database", f"{name} answers ({url.get_backend_name()})")
        if is_sqlite:
            yield _check_sqlite(url)
        with database.read() as session:
            state = state_of(session)
        if state is not Schema.CURRENT:
            misfit = SchemaError(state)
            yield problem("migrations", misfit.detail, misfit.hint or "")
            return
        yield ok("migrations", "the schema is at the newest revision")
        yield _check_clock(database)
        yield from _check_work(database, settings)


def check_broker(settings: Settings) -> Finding:
    """What carries wake-ups."""
    if settings.broker.url is None:
        folder = embedded_folders(settings)["messages"]
        try:
            if folder.exists():
                with tempfile.TemporaryFile(dir=folder):
                    return ok("broker", f"embedded, in {folder}")
        except OSError as error:
            return problem(
                "broker", f"{folder} cannot be written to: {error.strerror}", "give this user the right to write there"
            )
        return ok("broker", f"embedded; its folder {folder} will be made")
    name = redact(settings.broker.url.get_secret_value())
    queue = UnitQueue(settings)
    try:
        within(_PATIENCE_SECONDS, queue.ping)
    except Exception as error:  # noqa: BLE001 - whatever a broker's client raises
        # The kind alone, where the URL itself may be what is wrong: its parser's text could quote a password.
        said = told(error) if "://" in name else type(error).__name__
        return problem(
            "broker",
            f"{name if '://' in name else '***'}: {said}",
            "is GBLEND_BROKER__URL right, and is the broker up?",
        )
    queue.close()  # only here: Celery cannot close what it cannot make out
    return ok("broker", f"{name} answers")


def check_artifacts(settings: Settings) -> Finding:
    """Write, read and remove a file, as workers and the API do."""
    name = redact(settings.artifacts_url)
    try:
        within(2 * _PATIENCE_SECONDS, lambda: _probe(settings.artifacts_url))
    except (GblendError, OSError, ValueError, TimeoutError) as error:
        return problem(
            "artifacts",
            f"{name}: {told(error)}",
            "is GBLEND_ARTIFACTS__URL right, and may this user write and delete there?",
        )
    return ok("artifacts", f"{name}: a file was written, read and removed")


def _probe(url: str) -> None:
    store = ArtifactStore(url)
    folder = f"doctor-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "probe"
        source.write_bytes(_PROBE)
        try:
            key = store.put(source, f"{folder}/probe", size=len(_PROBE), sha256=sha256(_PROBE).hexdigest())
            with store.open(key) as reader:
                if reader.read() != _PROBE:
                    raise OSError("what was read is not what was written")
        finally:
            store.delete_below(folder)


def _check_sqlite(url: URL) -> Finding:
    """Whether writers and readers leave each other alone, and whether one may write at all."""
    try:
        connection = sqlite3.connect(url.database or "", timeout=_BUSY_SECONDS, isolation_level=None)
        with closing(connection):
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        if "locked" in str(error):
            return warning(
                "SQLite",
                f"another process has held the write lock for {_BUSY_SECONDS:g} s",
                "if that stays so, find the process (a backup, a shell?), or move to PostgreSQL",
            )
        return problem("SQLite", f"{url.database} cannot be written to: {error}", "give this user the right to")
    if mode != "wal":
        return warning(
            "SQLite",
            f"the journal mode is {mode}, not wal: readers and writers wait for each other",
            "is the folder on a network drive? Put it on a local disk, or use PostgreSQL",
        )
    return ok("SQLite", "write-ahead log, writable")


def _check_clock(database: Database) -> Finding:
    with database.read() as session:
        before = datetime.now(UTC)
        theirs = now(session)
        after = datetime.now(UTC)
    ahead = (theirs - (before + (after - before) / 2)).total_seconds()
    said = f"the database's clock is {abs(ahead):.1f} s {'ahead of' if ahead >= 0 else 'behind'} this machine's"
    if abs(ahead) > _CLOCK_SECONDS:
        return warning(
            "clock",
            said,
            "synchronise both (NTP). Leases are safe: only the database's clock counts; ages shown are not",
        )
    return ok("clock", said)


def _check_work(database: Database, settings: Settings) -> Iterator[Finding]:
    figures = FigureService(database, settings.engine)
    found = figures.read()
    if found.workers == 0:
        yield warning("workers", "no worker is alive", "start one: `gblend-server worker`")
    else:
        yield ok("workers", f"{found.workers} alive, {found.busy} of {found.slots} slots busy")
    waiting = {queue: count for (queue, state), count in found.units.items() if state in ("ready", "backoff")}
    for queue, count in sorted(waiting.items()):
        if found.queue_workers[queue] == 0:
            yield problem(
                "queues",
                f"{counted(count, 'unit')} in the queue {queue!r}, on which no living worker listens",
                f"start one: `gblend-server worker --queue {queue}`",
            )
    served = {queue for queue in waiting if found.queue_workers[queue]}
    unserved = WorkerService(database, settings.engine).unserved()
    too_large = {queue: count for queue, count in sorted(unserved.items()) if queue in served}
    for queue, count in too_large.items():
        yield problem(
            "queues",
            f"{counted(count, 'unit')} in the queue {queue!r} for more devices than any living worker there has slots",
            "start a larger worker for it, or retry the jobs with a smaller scheduling.devices",
        )
    if served == set(waiting) and not too_large:
        yield ok("queues", f"{counted(sum(waiting.values()), 'unit')} to be claimed, none where no worker listens")
    patience = 3 * settings.engine.reap_seconds
    overdue = figures.overdue(seconds=patience)
    if overdue:
        yield problem(
            "leases",
            f"{counted(overdue, 'lease')} ran out more than {patience:g} s ago, and nobody has put the work back",
            "no process looks for them: start `gblend-server api` or `gblend-server worker`, and see their logs",
        )
    else:
        yield ok("leases", "none is overdue")
