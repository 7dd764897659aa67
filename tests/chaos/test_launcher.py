"""A launcher that is killed while its processes are stopped, and these come back when another launcher is at work."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest

from core.persistence import Database
from tests.chaos.clients import real_spec
from tests.chaos.fleet import ENGINE
from tests.chaos.invariants import TERMINAL, Contents, check
from tests.chaos.processes import MARK, ROOT, kill_marked, marked, python, signal_all
from tests.chaos.scripts import Scripts
from tests.servers import is_running, wait_until
from tests.tiny import write_tiny

SECONDS = 240.0

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


class Launcher:
    """A running `gblend-server up` on a state folder."""

    def __init__(self, state: Path, token: str) -> None:
        self._log = state.parent / f"{token}.log"
        engine = ENGINE.model_copy(update={"slots": 1}).model_dump(exclude_none=True)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                python("api.cli", "up", "--port", "0", "--state-dir", str(state), "--data", str(state.parent)),
                cwd=ROOT,
                env={
                    **{name: value for name, value in os.environ.items() if not name.startswith("GBLEND_")},
                    **{f"GBLEND_ENGINE__{name.upper()}": str(value) for name, value in engine.items()},
                    MARK: token,
                },
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        said: IO[str] | None = self.process.stdout
        assert said is not None
        with said:
            line = said.readline()
        assert line.startswith("gblend: ready at "), self._log.read_text()
        self.url = line.split()[-1]
        self._token = token

    def services(self) -> list[int]:
        """Its worker and its API process."""
        lines = marked(self._token).items()
        return [pid for pid, line in lines if "--parent-pid" in line or "worker.celery_app" in line]

    def end(self) -> None:
        """In good order, or else the other way."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        kill_marked(self._token)


@contextmanager
def _launcher(state: Path, token: str) -> Iterator[Launcher]:
    launcher = Launcher(state, token)
    try:
        yield launcher
    finally:
        launcher.end()


def test_a_stale_launchers_processes_do_no_harm(tmp_path: Path) -> None:
    state = tmp_path / "state"
    write_tiny(tmp_path)
    keys = {"real-0", "real-1"}
    token = tmp_path.name
    with _launcher(state, f"{token}-first") as first, closing(Database(f"sqlite:///{state / 'gblend.sqlite3'}")) as db:
        for key in sorted(keys):
            answer = httpx.post(f"{first.url}/v1/jobs", json=real_spec(), headers={"idempotency-key": key}, timeout=30)
            assert answer.status_code == 201, answer.text
        wait_until(lambda: any(Contents(db).super_epochs.values()), "a training", seconds=SECONDS, every=0.2)
        stale = first.services()
        assert len(stale) == 2
        _stop_outside_a_transaction(stale, state / "gblend.sqlite3")
        first.process.kill()
        first.process.wait()
        with _launcher(state, f"{token}-second"):
            wait_until(lambda: _attempts(db) >= 2, "the second to take over", seconds=SECONDS, every=0.2)
            signal_all(stale, signal.SIGCONT)  # and there is the SIGTERM of their launcher's death
            for pid in stale:
                wait_until(lambda pid=pid: not is_running(pid), "the stale processes to end", seconds=SECONDS)  # type: ignore[misc]
            wait_until(lambda: _ended(db), "the jobs to end", seconds=SECONDS, every=0.5)
        store, runs = state / "artifacts", state / "runs"
        assert check(Contents(db), Scripts(real=keys), store=store, runs=runs, streams={}) == []
    assert marked(f"{token}-first") == marked(f"{token}-second") == {}


def _stop_outside_a_transaction(pids: list[int], database: Path) -> None:
    """SIGSTOP, at a moment at which none of them holds SQLite's write lock: nobody could go on then."""
    for _ in range(100):
        signal_all(pids, signal.SIGSTOP)
        try:
            with closing(sqlite3.connect(database, timeout=0.5)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.rollback()
            return
        except sqlite3.OperationalError:
            signal_all(pids, signal.SIGCONT)
    raise AssertionError("one of them writes all the time")


def _attempts(database: Database) -> int:
    return max(int(job["attempt"]) for job in Contents(database).jobs)


def _ended(database: Database) -> bool:
    return all(job["status"] in TERMINAL for job in Contents(database).jobs)
