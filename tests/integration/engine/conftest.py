"""Services on the test's database, with clocks short enough to watch leases run out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from core.artifacts import ArtifactStore
from core.jobs.service import JobService
from core.jobs.units import UnitService
from core.persistence import Database
from core.settings import EngineSettings
from worker.devices import Slots
from worker.supervisor import Supervisor

CHILD = (sys.executable, "-m", "tests.integration.engine.scripted_child")

QUICK = EngineSettings(
    lease_seconds=1.5,
    heartbeat_seconds=0.2,
    self_fence_seconds=1.0,
    desired_poll_seconds=0.05,
    reap_seconds=0.2,
    redispatch_seconds=0.5,
    retry_backoff_seconds=0.0,
    max_attempts=3,
    cancel_grace_seconds=1.0,
)


@pytest.fixture
def jobs(database: Database) -> JobService:
    """The owner's side."""
    return JobService(database, max_attempts=QUICK.max_attempts)


@pytest.fixture
def units(database: Database) -> UnitService:
    """The worker's side."""
    return UnitService(database, QUICK)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """Artifacts in a folder."""
    return ArtifactStore((tmp_path / "artifacts").as_uri())


class MakeSupervisor(Protocol):
    """Makes a supervisor that runs the scripted child."""

    def __call__(self, units: UnitService, engine: EngineSettings = QUICK) -> Supervisor:
        """With these clocks."""


@pytest.fixture
def supervisor_of(tmp_path: Path, store: ArtifactStore) -> Iterator[MakeSupervisor]:
    """Makes supervisors that run the scripted child; stops them at the end."""
    made: list[Supervisor] = []

    def make(units: UnitService, engine: EngineSettings = QUICK) -> Supervisor:
        supervisor = Supervisor(
            units,
            store,
            runs=tmp_path / "runs",
            roots={"data": tmp_path / "data", "models": tmp_path / "models"},
            engine=engine,
            slots=Slots(4, ()),
            send=lambda _: None,
            command=CHILD,
        )
        made.append(supervisor)
        return supervisor

    yield make
    for supervisor in made:
        supervisor.stop()
