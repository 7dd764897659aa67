"""The real worker around the scripted child, with points where it can be killed and a clock that can jump.

    celery -A tests.chaos.worker_app worker

`CHAOS_DIR/failpoints/<point>`: whichever worker comes to the point first removes the file and kills itself; at
`commit.held` it waits instead, at `commit.unanswered` it does not hear that its commit succeeded.
`CHAOS_DIR/clock`: seconds by which the reconciler's wall clock is wrong. `CHAOS_CONTROL=no_guards`: a negative control,
without fence, without the journal's counter, for a database without unique keys.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from core.artifacts import ArtifactStore
from core.errors import LeaseLostError
from core.events import JournalEntry, Progress
from core.jobs import units
from core.jobs.lease import Lease
from core.jobs.ledger import Ledger
from core.jobs.reconcile import Reconciler
from core.jobs.recording import record_entry
from core.jobs.state import Action
from core.persistence.engine import now
from core.persistence.orm import UnitRow
from core.persistence.repositories import JobRepository, UnitRepository
from core.settings import Settings
from tests.chaos.failpoints import HELD, METHODS, UNANSWERED, disarm
from worker.process import WorkerProcess
from worker.rundir import RunDirectory
from worker.supervisor import Supervisor

_FOLDER = Path(os.environ["CHAOS_DIR"])
_HOLD_SECONDS = 20.0
_OWNERS: dict[str, type] = {
    "units": units.UnitService,
    "artifacts": ArtifactStore,
    "run_directory": RunDirectory,
    "supervisor": Supervisor,
}


def _pass(point: str) -> None:
    """Die if somebody waits for that."""
    if not disarm(_FOLDER, point):
        return
    (_FOLDER / "died" / f"{point}.{time.time_ns()}").touch()
    os.kill(os.getpid(), signal.SIGKILL)


def _hold() -> None:
    """Wait with a transaction that has written, if somebody wants that, until they have done what they want."""
    if disarm(_FOLDER, HELD):
        held = _FOLDER / "held"
        held.touch()
        deadline = time.monotonic() + _HOLD_SECONDS
        while held.exists() and time.monotonic() < deadline:
            time.sleep(0.01)


def _around(owner: type, name: str, label: str) -> None:
    original = inspect.getattr_static(owner, name)
    function = original.__func__ if isinstance(original, classmethod) else original

    def wrapped(*arguments: Any, **named: Any) -> Any:
        _pass(f"{label}.before")
        result = function(*arguments, **named)
        if result is not None or name != "claim_next":  # a claim that took nothing is no claim
            _pass(f"{label}.after")
        return result

    setattr(owner, name, classmethod(wrapped) if isinstance(original, classmethod) else wrapped)


def _install_failpoints() -> None:
    for label in METHODS:
        owner, _, name = label.partition(".")
        _around(_OWNERS[owner], name, label)

    def written(session: Session) -> bool:
        return bool(session.info.get("chaos_written"))

    @event.listens_for(Session, "after_flush")
    def note(session: Session, _context: Any) -> None:
        session.info["chaos_written"] = True

    @event.listens_for(Session, "before_commit")
    def before(session: Session) -> None:
        if written(session):
            _pass("commit.before")
            _hold()

    @event.listens_for(Session, "after_commit")
    def after(session: Session) -> None:
        if written(session):
            _pass("commit.after")
            if disarm(_FOLDER, UNANSWERED):
                raise OperationalError("COMMIT", None, ConnectionError("the connection broke before the answer"))


def _wrong_clock() -> float:
    with (_FOLDER / "passes").open("ab") as passes:  # asked once in a pass of the reconciler
        passes.write(b".")
    try:
        return time.time() + float((_FOLDER / "clock").read_text() or 0)
    except (FileNotFoundError, ValueError):
        return time.time()


def _remove_guards() -> None:
    """What a careless engine would do: believe whoever writes, and write whatever comes."""

    def holding(
        self: units.UnitService, session: Session, lease: Lease, *, settled: Collection[str]
    ) -> tuple[Ledger, UnitRow] | None:
        job = JobRepository(session).lock(lease.job_id)
        unit = UnitRepository(session).get(lease.unit_id)
        return None if job is None or unit is None else (Ledger(session, job, now(session)), unit)

    known: dict[tuple[str, int], int] = {}

    def record(
        self: units.UnitService, lease: Lease, entries: Sequence[JournalEntry], progress: Progress | None = None
    ) -> str:
        """What is recorded, this worker remembers; the database does not."""
        attempt = (lease.unit_id, lease.fence)
        with self._database.write() as session:
            held = self._holding(session, lease, settled=())
            if held is None:
                raise LeaseLostError("the job is gone")
            ledger, unit = held
            ledger.move(Action.START)
            for entry in entries:
                if entry.number > known.get(attempt, lease.recorded):
                    record_entry(session, ledger, entry)
                    known[attempt] = unit.recorded = entry.number
            return "run"

    def desired(self: units.UnitService, lease: Lease) -> str:
        return "run"

    units.UnitService._holding = holding  # type: ignore[method-assign]
    units.UnitService.desired = desired  # type: ignore[method-assign]
    units.UnitService.record = record  # type: ignore[method-assign]


def _reconciler_with(clock: Callable[[], float]) -> None:
    defaults = Reconciler.__init__.__kwdefaults__
    if defaults is None or "clock" not in defaults:
        raise AssertionError("the reconciler takes no clock any more")
    defaults["clock"] = clock


_reconciler_with(_wrong_clock)
if os.environ.get("CHAOS_CONTROL") == "no_guards":
    _remove_guards()
else:
    _install_failpoints()
app = WorkerProcess(Settings(), command=(sys.executable, "-m", "tests.chaos.child")).app
