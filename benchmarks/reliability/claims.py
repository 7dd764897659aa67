"""Claims from eight processes at once, through the code that a worker claims with; beside it the bare UPDATE.

python -m benchmarks.reliability.claims DATABASE_URL service|bare     one of the processes
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from benchmarks.reliability.figures import Figure, none_of
from core.jobs.service import JobService
from core.jobs.units import UnitService
from core.persistence import Database
from core.persistence.migrate import upgrade
from core.settings import EngineSettings
from core.spec import JobSpec
from tests.tiny import tiny_spec

PROCESSES = 8
BARE_ROWS_PER_UNIT = 10
"""Bare claims are that much quicker: so many more of them are needed to take as long."""


def measure(where: str, database_url: str, units: int) -> list[Figure]:
    """Claim `units` units of as many jobs, then ten times as many bare rows, in a database of their own."""
    upgrade(database_url)
    database = Database(database_url)
    try:
        _fill(database, units)
        errors, claimed, seconds = _race(database_url, "service")
        _, bare_claimed, bare_seconds = _race(database_url, "bare")
        with database.read() as session:
            twice = session.execute(text("SELECT count(*) FROM unit WHERE fence <> 1")).scalar_one()
    finally:
        database.close()
    rate, bare = claimed / seconds, bare_claimed / bare_seconds
    return [
        none_of(f"errors of {PROCESSES} processes that claim", where, errors, f"{claimed} claims"),
        none_of("units claimed never or twice", where, twice + abs(units - claimed), f"{units} units"),
        Figure(
            what=f"claims per second, {PROCESSES} processes",
            where=where,
            measured=f"{rate:.0f} (a bare UPDATE: {bare:.0f})",
            target="",
            reached=None,
        ),
    ]


def _fill(database: Database, units: int) -> None:
    jobs = JobService(database, max_pending=0)
    for seed in range(units):
        jobs.submit(JobSpec.model_validate(tiny_spec() | {"seed": seed}))
    with database.write() as session:
        session.execute(text("CREATE TABLE bare (id INTEGER PRIMARY KEY, state TEXT, fence INTEGER)"))
        rows = [{"id": number} for number in range(BARE_ROWS_PER_UNIT * units)]
        session.execute(text("INSERT INTO bare VALUES (:id, 'ready', 0)"), rows)


def _race(database_url: str, kind: str) -> tuple[int, int, float]:
    """Errors, claims, and seconds from the common start to the last claim."""
    with ExitStack() as stack:
        command = [sys.executable, "-m", "benchmarks.reliability.claims", database_url, kind]
        racers = [
            stack.enter_context(
                subprocess.Popen([*command, str(lane)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for lane in range(PROCESSES)
        ]
        for racer in racers:  # ready: everything is imported and connected
            assert racer.stdout is not None
            racer.stdout.readline()
        began = time.time()
        answers = []
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        for racer in racers:
            assert racer.stdout is not None
            errors, claims, ended = racer.stdout.readline().split()
            answers.append((int(errors), int(claims), float(ended)))
    return sum(one[0] for one in answers), sum(one[1] for one in answers), max(one[2] for one in answers) - began


def _racer(database_url: str, kind: str, lane: int) -> None:
    """One process: says that it is ready, waits for the word, claims until nothing is left."""
    database = Database(database_url, pool_size=1)
    database.ping()
    claim = {"service": _service_claim, "bare": _bare_claim}[kind](database, lane)
    print("ready", flush=True)
    sys.stdin.readline()
    errors = claims = 0
    while True:
        try:
            if not claim():
                break
        except DBAPIError as error:
            print(error.orig, file=sys.stderr)
            errors += 1
        else:
            claims += 1
    print(errors, claims, time.time(), flush=True)
    database.close()


def _service_claim(database: Database, lane: int) -> Callable[[], bool]:
    units = UnitService(database, EngineSettings())
    return lambda: units.claim_next(("default",), f"racer {lane}") is not None


def _bare_claim(database: Database, lane: int) -> Callable[[], bool]:
    """Every process claims rows of its own share: no time is lost on looking for one."""
    with database.read() as session:
        ids = list(session.execute(text("SELECT id FROM bare WHERE id % :n = :lane"), {"n": PROCESSES, "lane": lane}))
    statement = text(
        "UPDATE bare SET state = 'leased', fence = fence + 1 WHERE id = :id AND state = 'ready' RETURNING fence"
    )

    def claim() -> bool:
        if not ids:
            return False
        (row,) = ids.pop()
        with database.engine.begin() as connection:
            return connection.execute(statement, {"id": row}).first() is not None

    return claim


if __name__ == "__main__":
    _racer(sys.argv[1], sys.argv[2], int(sys.argv[3]))
