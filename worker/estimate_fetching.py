"""Before a run starts whose heads other workers have estimated: their losses, from the store into its run directory."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from core.artifacts import ArtifactStore
from core.jobs.lease import Lease
from core.jobs.units import UnitService
from core.settings import EngineSettings
from worker.checkpoint_fetching import KeptAlive
from worker.rundir import RunDirectory
from worker.waiting import while_waiting

log = structlog.stdlib.get_logger(__name__)


def fetch_estimates(
    lease: Lease,
    run: RunDirectory,
    *,
    store: ArtifactStore,
    units: UnitService,
    engine: EngineSettings,
    shutting_down: Callable[[], bool],
) -> None:
    """Fetch every head's file, whole and verified, to where the run's request names it; nothing where there is none.

    The lease is renewed meanwhile. Raises `NotWantedError` where the job is to stop, `LeaseLostError`, and
    `ArtifactError` or `NotFoundError` where a file cannot be had: the attempt is then one that failed.
    """
    if not lease.estimates:
        return
    alive = KeptAlive(lease, units, engine, shutting_down)
    run.estimate(0).parent.mkdir(exist_ok=True)
    while_waiting(lambda check: _fetch(lease, run, store, check), alive.beat)
    log.info("estimates fetched", heads=[estimate.head for estimate in lease.estimates])


def _fetch(lease: Lease, run: RunDirectory, store: ArtifactStore, check: Callable[[], None]) -> None:
    for slot, estimate in enumerate(lease.estimates):
        store.get(estimate.uri, run.estimate(slot), size=estimate.bytes, sha256=estimate.sha256, on_chunk=check)
