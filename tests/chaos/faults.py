"""The faults themselves. Each is done to a random victim; one that finds none says so and counts for nothing."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import redis

from core.jobs.broker import embedded_folders
from tests.chaos import failpoints
from tests.chaos.fleet import Fleet
from tests.chaos.processes import Member, signal_all
from tests.servers import wait_until

_KEYS = "gblend:gblend.units*"
_POINT_SECONDS = 3.0
_LIMIT_BYTES = 2048
_JUMPS = (3600.0, -3600.0, 40.0)


class Faults:
    """Does them, and keeps count."""

    def __init__(self, fleet: Fleet, rng: random.Random) -> None:
        self._fleet = fleet
        self._rng = rng
        self._point = 0
        self.done: dict[str, int] = {}
        self.without_victim: dict[str, int] = {}
        self.log: list[tuple[float, str, str]] = []
        """`(seconds since the start, fault, victim)`."""
        self._began = time.monotonic()

    def do(self, name: str) -> bool:
        """One fault; whether it found a victim."""
        action: Callable[[], str | None] = getattr(self, f"_{name}")
        with self._fleet.lock:
            victim = action()
        counts = self.without_victim if victim is None else self.done
        counts[name] = counts.get(name, 0) + 1
        self.log.append((time.monotonic() - self._began, name, victim or "no victim"))
        return victim is not None

    # Processes

    def _kill_child(self) -> str | None:
        children = self._fleet.children()
        if not children:
            return None
        pid = self._rng.choice(children)
        return str(pid) if signal_all([pid], signal.SIGKILL) else None

    def _kill_worker(self) -> str | None:
        return self._send(self._fleet.any_worker(self._rng), signal.SIGKILL)

    def _kill_api(self) -> str | None:
        return self._send(self._fleet.any_api(self._rng), signal.SIGKILL)

    def _end_worker(self) -> str | None:
        return self._send(self._fleet.any_worker(self._rng), signal.SIGTERM)

    def _kill_at_point(self) -> str | None:
        """The points take turns. What nobody passes soon is taken back, unless it is one that few units pass."""
        point = failpoints.POINTS[self._point % len(failpoints.POINTS)]
        self._point += 1
        failpoints.arm(self._fleet.folder, point)
        armed = self._fleet.folder / "failpoints" / point
        if point not in failpoints.RARE:
            self._fleet.later(_POINT_SECONDS, lambda: armed.unlink(missing_ok=True))
        return point

    def _stop_worker(self) -> str | None:
        worker = self._fleet.any_worker(self._rng)
        if worker is None or not worker.send(signal.SIGSTOP):
            return None
        worker.suspended = True
        process = worker.process

        def go_on() -> None:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
            worker.suspended = False

        self._fleet.later(self._beyond_lease(), go_on)
        return worker.name

    def _stop_child(self) -> str | None:
        children = self._fleet.children()
        if not children or not signal_all([pid := self._rng.choice(children)], signal.SIGSTOP):
            return None
        self._fleet.later(self._beyond_lease(), lambda: self._wake(pid))
        return str(pid)

    def _wake(self, pid: int) -> None:
        if pid in self._fleet.children():  # the number may be another's by now
            signal_all([pid], signal.SIGCONT)

    def _stale_worker(self) -> str | None:
        """Stopped, replaced, and back after three leases as if nothing had happened; told to end a lease later."""
        worker = self._fleet.any_worker(self._rng)
        if worker is None or worker.process is None or not worker.send(signal.SIGSTOP):
            return None
        stale = worker.process
        worker.stale.append(stale)
        worker.start()

        def back() -> None:
            if stale.poll() is None:
                stale.send_signal(signal.SIGCONT)

        def end() -> None:
            if stale.poll() is None:
                stale.send_signal(signal.SIGTERM)

        lease = self._fleet.engine.lease_seconds
        self._fleet.later(3 * lease, back)
        self._fleet.later(4 * lease, end)
        return worker.name

    def _sleep(self) -> str | None:
        """The whole machine, but for the servers and us."""
        pids = [pid for member in self._fleet.members for pid in member.every_pid()] + self._fleet.children()
        stopped = signal_all(pids, signal.SIGSTOP)
        time.sleep(self._beyond_lease())
        signal_all(pids, signal.SIGCONT)
        return f"{stopped} processes"

    def _clock_jump(self) -> str | None:
        """Of the reconcilers' clock: an hour on or back, or less than a minute on."""
        seconds = self._rng.choice(_JUMPS)
        clock = self._fleet.folder / "clock"
        clock.write_text(str(seconds))
        self._fleet.later(4.0, lambda: clock.unlink(missing_ok=True))
        return f"{seconds:+g} s"

    def _disk_full(self) -> str | None:
        """A worker, and what it starts meanwhile, can write no file beyond two kilobytes: EFBIG, where a disk says
        ENOSPC. On SQLite that takes its database away too."""
        worker = self._fleet.any_worker(self._rng)
        if worker is None or not worker.is_alive:
            return None
        pid = worker.pid
        try:
            soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (_LIMIT_BYTES, hard))
        except ProcessLookupError:
            return None

        def room_again() -> None:
            with suppress(ProcessLookupError):
                if worker.is_alive and worker.pid == pid:
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))

        self._fleet.later(1.5, room_again)
        return worker.name

    def _unanswered_commit(self) -> str | None:
        """A worker's commit succeeds, and it hears that the connection broke."""
        return self._caught(failpoints.UNANSWERED)

    def _caught(self, point: str) -> str | None:
        """Arm a point and wait until a worker comes to it."""
        failpoints.arm(self._fleet.folder, point)
        deadline = time.monotonic() + _POINT_SECONDS
        while failpoints.is_armed(self._fleet.folder, point) and time.monotonic() < deadline:
            time.sleep(0.01)
        return None if failpoints.disarm(self._fleet.folder, point) else point

    # Messages

    def _lose_wake_ups(self) -> str | None:
        if self._fleet.redis is not None:
            with redis.Redis(port=self._fleet.redis.port) as client:
                lists = _lists(client)
                lost = sum(client.llen(key) for key in lists)
                if lists:
                    client.delete(*lists)
                return _counted(lost)
        return _counted(sum(_unlink(path) for path in self._messages()))

    def _double_wake_ups(self) -> str | None:
        if self._fleet.redis is not None:
            with redis.Redis(port=self._fleet.redis.port) as client:
                copies = 0
                for key in _lists(client):
                    found = client.lrange(key, 0, -1)
                    copies += client.rpush(key, *found, *found) if found else 0
                return _counted(copies)
        copies = 0
        for path in self._messages():
            with suppress(FileNotFoundError):
                for number in range(2):
                    written = path.with_name(f".{path.name}.copy{number}")
                    shutil.copyfile(path, written)
                    written.rename(path.with_name(f"{number}{path.name}"))
                    copies += 1
        return _counted(copies)

    def _reorder_wake_ups(self) -> str | None:
        if self._fleet.redis is not None:
            with redis.Redis(port=self._fleet.redis.port) as client:
                moved = 0
                for key in _lists(client):
                    found = client.lrange(key, 0, -1)
                    self._rng.shuffle(found)
                    client.delete(key)
                    moved += client.rpush(key, *found) if found else 0
                return _counted(moved)
        moved = 0
        for path in self._messages():
            with suppress(FileNotFoundError):
                path.rename(path.with_name(f"{self._rng.randrange(10**9)}{path.name}"))
                moved += 1
        return _counted(moved)

    def _stale_broker(self) -> str | None:
        """What a crash may have left in the folder of the embedded broker: torn messages, a torn table."""
        folders = embedded_folders(self._fleet.settings)
        queue = self._fleet.settings.broker.queue
        (folders["messages"] / f"1_torn{self._rng.random()}.{queue}.msg".replace("0.", "")).write_bytes(b'{"body": "')
        (folders["messages"] / f"2_empty{self._rng.random()}.{queue}.msg".replace("0.", "")).write_bytes(b"")
        tables = sorted(folders["control"].glob("*.exchange"))
        if tables:
            tables[0].write_bytes(b"")
        return f"{len(tables)} tables"

    def _messages(self) -> list[Path]:
        return sorted(embedded_folders(self._fleet.settings)["messages"].glob("[0-9]*.msg"))

    # Servers

    def _restart_redis_with_data(self) -> str | None:
        return self._restart_redis(keep=True)

    def _restart_redis_empty(self) -> str | None:
        return self._restart_redis(keep=False)

    def _restart_redis(self, *, keep: bool) -> str | None:
        assert self._fleet.redis is not None
        self._fleet.redis.restart(keep=keep)
        return "Redis"

    def _restart_postgres(self) -> str | None:
        postgres = self._fleet.postgres
        assert postgres is not None
        how = self._rng.choice([signal.SIGKILL, signal.SIGQUIT, signal.SIGINT])
        postgres.crash(how)
        postgres.start()
        return how.name

    def _restart_postgres_at_commit(self) -> str | None:
        """The server is gone just when a worker wants to commit what it has written."""
        held = self._fleet.folder / "held"
        if self._caught(failpoints.HELD) is None:
            return None
        with suppress(AssertionError):  # the worker may have died between the point and the file
            wait_until(held.exists, "a commit", seconds=_POINT_SECONDS, every=0.01)
        try:
            return self._restart_postgres()
        finally:
            held.unlink(missing_ok=True)

    def _kill_backend(self) -> str | None:
        """SIGKILL to the server's side of a connection, of one in a transaction if there is any: the server restarts
        itself, mid-commit of whoever was committing."""
        found = self._ask_postgres(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'gblend' AND pid <> pg_backend_pid() "
            "ORDER BY (state = 'idle'), random() LIMIT 1"
        )
        if not found or not signal_all(found, signal.SIGKILL):
            return None
        return str(found[0])

    def _disconnect_postgres(self) -> str | None:
        return _counted(
            len(
                self._ask_postgres(
                    "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'gblend%' "
                    "AND pid <> pg_backend_pid() AND pg_terminate_backend(pid)"
                )
            )
        )

    def _disconnect_redis(self) -> str | None:
        assert self._fleet.redis is not None
        with redis.Redis(port=self._fleet.redis.port) as client:
            return _counted(int(client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")))

    def _half_open(self) -> str | None:
        """The first worker and the first API process hear nothing more from their servers, for longer than a lease."""
        for proxy in self._fleet.proxies:
            threading.Thread(target=proxy.mute, args=(self._beyond_lease(),), daemon=True).start()
        return f"{len(self._fleet.proxies)} networks"

    def _lock_database(self) -> str | None:
        """Somebody else holds SQLite's write lock for longer than a worker trusts its lease."""
        database = self._fleet.folder / "gblend.sqlite3"
        connection = sqlite3.connect(database, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:  # a worker that is stopped holds it
            connection.close()
            return None

        def let_go() -> None:
            connection.rollback()
            connection.close()

        self._fleet.later(self._fleet.engine.self_fence_seconds + 0.5, let_go)
        return "SQLite"

    def _ask_postgres(self, statement: str) -> list[int]:
        assert self._fleet.postgres is not None
        try:
            with psycopg.connect(self._fleet.postgres.url("postgres"), autocommit=True) as connection:
                return [row[0] for row in connection.execute(statement).fetchall()]
        except psycopg.OperationalError:  # it recovers from the fault before
            return []

    def _beyond_lease(self) -> float:
        return 1.5 * self._fleet.engine.lease_seconds

    def _send(self, member: Member | None, number: signal.Signals) -> str | None:
        return None if member is None or not member.send(number) else f"{member.name} ({member.pid})"


def _lists(client: redis.Redis) -> list[bytes]:
    keys: list[bytes] = client.keys(_KEYS)  # type: ignore[assignment]  # the stubs allow for decoded answers
    return [key for key in keys if client.type(key) == b"list"]


def _unlink(path: Path) -> int:
    try:
        path.unlink()
    except FileNotFoundError:
        return 0
    return 1


def _counted(number: int) -> str | None:
    return f"{number}" if number else None
