"""Before a training starts: the newest shared checkpoint, where this machine has none as new.

    <runs>/<job>/shared/<job it is of>.<folder of the lease>/checkpoints/<name>/...
    <runs>/<job>/shared/<job it is of>.<folder of the lease>/events.jsonl

Each folder below `shared` is laid out like the run directory that the checkpoint comes from, and is listed in
`resume_from`: the training cannot tell it from an earlier attempt on this machine.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError

from core.artifacts import ArtifactStore
from core.errors import ArtifactError, GblendError, LeaseLostError, NotFoundError
from core.jobs.lease import Lease
from core.jobs.shared_checkpoint import SharedCheckpoint
from core.jobs.units import UnitService
from core.settings import EngineSettings
from worker.checkpoint_sharing import has_as_new, is_sound
from worker.rundir import CHECKPOINTS, attempts_of, fence_of
from worker.waiting import while_waiting

log = structlog.stdlib.get_logger(__name__)

FETCHED = "shared"
_JOURNAL = "events.jsonl"
_TRIES = 4
"""A store that does not answer is asked so often, with pauses of 1, 2 and 4 s between, before the unit goes back."""


class NotWantedError(GblendError):
    """The owner or the worker's operator wants no training now."""


def fetch_newest(
    lease: Lease,
    runs: Path,
    *,
    store: ArtifactStore,
    units: UnitService,
    engine: EngineSettings,
    shutting_down: Callable[[], bool],
) -> list[Path]:
    """Fetch what the run may go on from; returns the folders to list in `resume_from`, those of earlier fetches too.

    A checkpoint that is damaged or gone is forgotten, and the one before it is taken; where none is left the list is
    empty. The lease is renewed meanwhile. Raises `NotWantedError` where the job is to stop, `LeaseLostError`, and
    `ArtifactError` where the store does not answer: a run that begins anew would throw work away.
    """
    if engine.share_checkpoints != "never":
        alive = KeptAlive(lease, units, engine, shutting_down)
        for checkpoint in units.checkpoints.of_jobs([lease.job_id, *lease.retry_of], lease.part):
            if not is_sound(checkpoint):
                log.error("a shared checkpoint has an odd name; passed over", checkpoint=repr(checkpoint.name))
            elif _is_here(runs, lease, checkpoint) or _fetch(runs, lease, checkpoint, store, units, alive):
                break
    fetched = runs / lease.job_id / FETCHED
    return [path for path in fetched.glob("*.*") if not path.name.startswith(".") and _part_of(path) == lease.part]


def remove_fetched(runs: Path, job_id: str) -> None:
    """The job has ended: what was fetched for it can be fetched again."""
    shutil.rmtree(runs / job_id / FETCHED, ignore_errors=True)


class KeptAlive:
    """Heartbeats while something is waited for."""

    def __init__(
        self, lease: Lease, units: UnitService, engine: EngineSettings, shutting_down: Callable[[], bool]
    ) -> None:
        self._lease = lease
        self._units = units
        self._engine = engine
        self._shutting_down = shutting_down
        self._renewed = self._looked = time.monotonic()

    def beat(self) -> None:
        """Renew the lease where that is due. Raises `NotWantedError`, `LeaseLostError`."""
        if self._shutting_down():
            raise NotWantedError("the worker shuts down")
        moment = time.monotonic()
        if moment - self._looked < self._engine.desired_poll_seconds:
            return
        self._looked = moment
        try:
            if moment - self._renewed >= self._engine.heartbeat_seconds:
                desired = self._units.heartbeat(self._lease)
                self._renewed = moment
            else:
                desired = self._units.desired(self._lease)
        except DBAPIError as error:
            if moment - self._renewed > self._engine.self_fence_seconds:
                raise LeaseLostError("the database did not answer for too long") from error
            return
        if desired != "run":
            raise NotWantedError(f"the owner wants it to {desired}")


def _is_here(runs: Path, lease: Lease, checkpoint: SharedCheckpoint) -> bool:
    attempts = attempts_of(runs / checkpoint.job_id, checkpoint.part)
    own = [path for path in attempts if fence_of(path) >= checkpoint.fence]
    fetched = _folder(runs, lease, checkpoint)
    return any(has_as_new(path, checkpoint.name) for path in (*own, fetched))


def _folder(runs: Path, lease: Lease, checkpoint: SharedCheckpoint) -> Path:
    return runs / lease.job_id / FETCHED / f"{checkpoint.job_id}.{checkpoint.folder}"


def _part_of(fetched: Path) -> str:
    """`Lease.part` of the lease under which it was written: between the job's id and the fence, if anything is."""
    return fetched.name.partition(".")[2].rpartition(".")[0]


def _fetch(
    runs: Path,
    lease: Lease,
    checkpoint: SharedCheckpoint,
    store: ArtifactStore,
    units: UnitService,
    alive: KeptAlive,
) -> bool:
    """Whether it is here now; False: it is damaged or gone, and forgotten."""
    target = _folder(runs, lease, checkpoint)
    arriving = target.with_name(f".{target.name}")
    for tried in range(1, _TRIES + 1):
        shutil.rmtree(arriving, ignore_errors=True)
        arriving.mkdir(parents=True)
        try:
            while_waiting(lambda check: _download(checkpoint, store, arriving, check), alive.beat)
        except (NotFoundError, ArtifactError) as error:
            if isinstance(error, NotFoundError) or error.code == "artifact.mismatch":
                log.warning("a shared checkpoint is damaged or gone", checkpoint=checkpoint.name, error=str(error))
                if checkpoint.job_id == lease.job_id:  # another job's rows are not ours to write
                    units.checkpoints.forget(lease, checkpoint)
                return False
            if tried == _TRIES:
                raise
            log.warning("the artifact store does not answer; trying again", error=str(error))
            while_waiting(lambda _, pause=2.0 ** (tried - 1): time.sleep(pause), alive.beat)  # type: ignore[misc]
        else:
            _move(arriving, target, checkpoint.name)
            log.info("checkpoint fetched", checkpoint=checkpoint.name, of=target.name, bytes=checkpoint.bytes)
            return True
        finally:
            shutil.rmtree(arriving, ignore_errors=True)
    raise AssertionError("the last try returns or raises")


def _download(checkpoint: SharedCheckpoint, store: ArtifactStore, folder: Path, check: Callable[[], None]) -> None:
    for file in checkpoint.files:
        key, path = f"{checkpoint.uri}/{file.name}", folder / file.name
        store.get(key, path, size=file.bytes, sha256=file.sha256, on_chunk=check)


def _move(arrived: Path, target: Path, name: str) -> None:
    """Into a folder that looks like a run directory. A journal only grows, so the longer one serves all checkpoints."""
    journal = target / _JOURNAL
    (target / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    if not journal.exists() or journal.stat().st_size < (arrived / _JOURNAL).stat().st_size:
        os.replace(arrived / _JOURNAL, journal)
    else:
        (arrived / _JOURNAL).unlink()
    arrived.rename(target / CHECKPOINTS / name)
