"""Everything a worker process needs, built once from the settings where the process starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from core.artifacts import ArtifactStore
from core.jobs.reconcile import Reconciler
from core.jobs.units import UnitService
from core.persistence import Database
from core.settings import Settings
from worker.child import TRAINING
from worker.devices import Slots, visible_gpus
from worker.rundir import sweep
from worker.supervisor import Supervisor


class WorkerRuntime:
    """A supervisor and a reconciler on one database."""

    def __init__(self, settings: Settings, send: Callable[[str], None], *, command: Sequence[str] = TRAINING) -> None:
        self._settings = settings
        self._database = Database(settings.database_url, pool_size=settings.database.pool_size)
        self.units = UnitService(self._database, settings.engine)
        self.reconciler = Reconciler(self.units, send, settings.engine)
        self.supervisor = Supervisor(
            self.units,
            ArtifactStore(settings.artifacts_url),
            runs=settings.runs_dir,
            roots=settings.data_roots,
            engine=settings.engine,
            slots=slots(settings),
            send=send,
            command=command,
        )

    def start(self) -> None:
        """Remove what ended jobs left here, and begin to reap and dispatch."""
        sweep(self._settings.runs_dir, self.units.ended)
        self.reconciler.start()

    def close(self) -> None:
        """Stop reaping and dispatching, say which units are free again, let go of the database. May be repeated."""
        self.reconciler.stop()
        self.supervisor.announce_handed_back()
        self._database.close()


def slots(settings: Settings) -> Slots:
    """The trainings that may run at once in this process."""
    return Slots(settings.engine.slots, visible_gpus(os.environ))
