"""Negative controls: the same faults on an engine without its guards. The checker must find what they break.

Each has a twin with the guards in place, which it must find nothing in. Nothing here depends on time: gates hold a
training where the fault must hit it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from core.jobs.broker import embedded_folders
from core.persistence import Database
from core.spec import JobSpec
from tests.chaos.clients import spec_of
from tests.chaos.fleet import ENGINE, Backend, Fleet
from tests.chaos.invariants import TERMINAL, Contents, check
from tests.chaos.processes import kill_marked
from tests.chaos.scripts import Script, Scripts
from tests.chaos.watch import OrphanWatch
from tests.servers import wait_until

SECONDS = 120.0
_UNGUARDED = ("event", "super_epoch", "metric", "artifact")


@contextmanager
def small_fleet(backend: Backend, *, redispatch: bool = True, guarded: bool = True) -> Iterator[Fleet]:
    """Two workers, not started; no API. `redispatch` False: a wake-up is sent once. Not `guarded`: see `worker_app`."""
    engine = ENGINE.model_copy(update={} if redispatch else {"redispatch_seconds": 3600.0})
    fleet = Fleet(backend, engine=engine, workers=2, apis=0)
    try:
        if not guarded:
            drop_unique_keys(fleet.database)
            for worker in fleet.workers:
                worker.environment = {**worker.environment, "CHAOS_CONTROL": "no_guards"}
        yield fleet
    finally:
        fleet.close()


def drop_unique_keys(database: Database) -> None:
    """What journal entries become, and what they are kept from becoming twice by, apart from the fence."""
    with database.write() as session:
        if not database.is_postgresql:
            for table in reversed(_UNGUARDED):  # a table made of a question has no keys
                session.execute(text(f"CREATE TABLE bare AS SELECT * FROM {table}"))
                session.execute(text(f"DROP TABLE {table}"))
                session.execute(text(f"ALTER TABLE bare RENAME TO {table}"))
            return
        found = session.execute(
            text(
                "SELECT conrelid::regclass::text AS held, conname FROM pg_constraint WHERE contype IN ('f', 'p', 'u') "
                "AND conrelid::regclass::text = ANY(:tables) ORDER BY (contype <> 'f')"
            ),
            {"tables": list(_UNGUARDED)},
        ).all()
        for row in found:
            session.execute(text(f"ALTER TABLE {row.held} DROP CONSTRAINT {row.conname} CASCADE"))


def two_workers_at_one_unit(backend: Backend, *, guarded: bool) -> list[str]:
    """A worker is stopped beyond its lease while its training goes on; another takes the unit; then the first is back
    and has a journal to record. What the checker finds."""
    script = Script("gated", 6, 0.0)
    with small_fleet(backend, guarded=guarded) as fleet:
        first, second = fleet.workers
        scripts = _submit(fleet, script)
        (fleet.folder / "gates" / "1.5").touch()
        (fleet.folder / "gates" / "2.12").touch()
        first.start()
        wait_until(lambda: _recorded(fleet) == 5, "the first worker to record", seconds=SECONDS)
        first.send(signal.SIGSTOP)
        second.start()
        wait_until(lambda: _recorded(fleet) == 12, "the second worker to record", seconds=SECONDS)
        (fleet.folder / "gates" / "1.5").unlink()
        first.send(signal.SIGCONT)
        # With guards it finds its lease lost; without, it records its journal to the end.
        wait_until(lambda: _is_done_with_it(fleet, guarded), "the first worker to be done", seconds=SECONDS)
        (fleet.folder / "gates" / "2.12").unlink()
        wait_until(lambda: not fleet.children(), "the second training to end", seconds=SECONDS)
        wait_until(lambda: _ended(fleet), "the job to end", seconds=SECONDS)
        return _check(fleet, scripts)


def lost_wake_ups(backend: Backend, *, redispatch: bool) -> list[str]:
    """Every wake-up is lost before a worker is there to hear it. What the checker finds."""
    with small_fleet(backend, redispatch=redispatch) as fleet:
        scripts = _submit(fleet, Script("plain", 2, 0.0))
        lose_everything(fleet)
        fleet.workers[0].start()
        wait_until(fleet.ready_file(fleet.workers[0]).exists, "the worker to be ready", seconds=SECONDS)
        if redispatch:
            wait_until(lambda: _ended(fleet), "the job to end", seconds=SECONDS)
        else:  # its dispatcher has looked a few times and has nothing to say
            passes = fleet.folder / "passes"
            wait_until(lambda: passes.exists() and passes.stat().st_size >= 5, "passes", seconds=SECONDS)
        return _check(fleet, scripts)


def outliving_child(backend: Backend, *, immortal: bool) -> list[str]:
    """A worker is killed; what is said of its training. `immortal`: one that does not look after its worker."""
    with small_fleet(backend) as fleet:
        script = Script("immortal" if immortal else "gated", 6, 1.5 if immortal else 0.0)
        _submit(fleet, script)
        if not immortal:
            (fleet.folder / "gates" / "1.5").touch()
        worker = fleet.workers[0]
        worker.start()
        wait_until(lambda: _recorded(fleet) > 0 and bool(fleet.children()), "a training", seconds=SECONDS)
        watch = OrphanWatch(fleet, patience=1.0)
        (child,) = fleet.children()
        worker.send(signal.SIGKILL)
        wait_until(lambda: not worker.is_alive, "the worker to be gone", seconds=SECONDS)

        def seen() -> bool:
            watch.look()
            return bool(watch.problems) or child not in fleet.children()

        wait_until(seen, "the training to end or to be found", seconds=SECONDS, every=0.2)
        kill_marked(fleet.token)
        return watch.problems


def lose_everything(fleet: Fleet) -> None:
    """The broker forgets all messages."""
    if fleet.redis is not None:
        fleet.redis.flush()
        return
    for path in embedded_folders(fleet.settings)["messages"].glob("*.msg"):
        path.unlink()


def _submit(fleet: Fleet, script: Script) -> Scripts:
    scripts = Scripts(by_key={"control": script})
    fleet.poison.submit(JobSpec.model_validate(spec_of(script)), idempotency_key="control")
    return scripts


def _recorded(fleet: Fleet) -> int:
    """The last entry of the journal that is in the log."""
    with fleet.database.read() as session:
        keys = session.execute(text("SELECT dedupe_key FROM event WHERE dedupe_key LIKE 'run:%'")).scalars()
        return max((int(key.partition(":")[2]) for key in keys), default=0)


def _ended(fleet: Fleet) -> bool:
    """Whether the job has ended and its worker has tidied up."""
    (job,) = Contents(fleet.database).jobs
    return job["status"] in TERMINAL and not (fleet.settings.runs_dir / job["id"]).exists()


def _is_done_with_it(fleet: Fleet, guarded: bool) -> bool:
    (job,) = Contents(fleet.database).jobs
    return "lease lost" in fleet.log() if guarded else job["status"] in TERMINAL


def _check(fleet: Fleet, scripts: Scripts) -> list[str]:
    store = fleet.folder / "state" / "artifacts"
    return check(Contents(fleet.database), scripts, store=store, runs=fleet.settings.runs_dir, streams={})
