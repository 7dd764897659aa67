"""Checkpoints that outlive the machine: uploaded while the training goes on, fetched where another worker takes over.

    jobs/<job>/<folder of the lease>/checkpoints/<name>/...             the checkpoint's own files, as they are
    jobs/<job>/<folder of the lease>/checkpoints/<name>/events.jsonl    the journal up to there, which it refers to

Uploads have a thread of their own: heartbeats, recording and cancelling never wait for a store. The newest checkpoint
is what is uploaded; one that came and went during an upload is left out. A row is written under the lease after all
files are there and verified, and only rows count: what a worker leaves that lost its lease is never looked at.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError

from core.artifacts import ArtifactStore
from core.errors import ArtifactError, LeaseLostError
from core.jobs.checkpoints import CheckpointService
from core.jobs.lease import Lease
from core.jobs.shared_checkpoint import SharedCheckpoint, StoredFile
from core.settings import EngineSettings
from worker.rundir import CHECKPOINT_NAME, CHECKPOINTS, RunDirectory, checkpoints_of
from worker.waiting import TICK_SECONDS, GivenUpError

log = structlog.stdlib.get_logger(__name__)

INTERVAL_SECONDS = 1.0
"""Between two looks for a new checkpoint: sharing more often would cost more than it saves."""
_LONGEST_PAUSE_SECONDS = 60.0
_STAGING = "sharing"
_JOURNAL = "events.jsonl"
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._\-]{0,127}")


def is_shared(engine: EngineSettings, store: ArtifactStore) -> bool:
    """Whether this worker shares its checkpoints."""
    return engine.share_checkpoints == "always" or (engine.share_checkpoints == "auto" and not store.is_local)


class CheckpointSharing:
    """Shares the checkpoints of one attempt until `stop`."""

    def __init__(
        self, lease: Lease, run: RunDirectory, *, store: ArtifactStore, checkpoints: CheckpointService
    ) -> None:
        self._lease = lease
        self._run = run
        self._store = store
        self._checkpoints = checkpoints
        self._last_shared = ""
        self._ending = threading.Event()
        self._given_up = threading.Event()
        # A daemon: an upload that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._loop, name=f"share-{lease.job_id}", daemon=True)

    def start(self) -> None:
        """Begin to look for checkpoints."""
        self._thread.start()

    def finish(self, meanwhile: Callable[[], None], *, seconds: float) -> None:
        """The training has ended and others will go on: share its last checkpoint, if that is done within `seconds`.

        `meanwhile` is called until then, twenty times a second; what it raises is passed on.
        """
        self._ending.set()
        deadline = time.monotonic() + seconds
        while self._thread.is_alive() and time.monotonic() < deadline:
            meanwhile()
            self._thread.join(TICK_SECONDS)
        if self._thread.is_alive():
            log.warning("the last checkpoint was not shared in time")

    def stop(self) -> None:
        """Give up what is under way. Returns soon: an upload that hangs is left behind."""
        self._given_up.set()
        self._ending.set()
        self._thread.join(INTERVAL_SECONDS)

    def _loop(self) -> None:
        with structlog.contextvars.bound_contextvars(job_id=self._lease.job_id, fence=self._lease.fence):
            pause = INTERVAL_SECONDS
            while not self._ending.wait(pause):
                pause = INTERVAL_SECONDS if self._pass() else min(2 * pause, _LONGEST_PAUSE_SECONDS)
            self._pass()
            shutil.rmtree(self._run.path / _STAGING, ignore_errors=True)

    def _pass(self) -> bool:
        """Share the newest checkpoint unless it is shared already. Whatever goes wrong, the training goes on: False."""
        if self._given_up.is_set():
            return True
        try:
            staged = self._stage()
            if staged is not None:
                self._share(staged)
        except GivenUpError:
            log.info("sharing a checkpoint was given up")
        except LeaseLostError:
            self._given_up.set()
        except Exception:  # a store that is away, a full disk: the next pass tries again
            log.warning("a checkpoint could not be shared", exc_info=True)
            return False
        return True

    def _stage(self) -> Path | None:
        """The newest checkpoint and its journal in a folder that the training does not touch; `None`: nothing new."""
        names = checkpoints_of(self._run.path)
        if not names or names[-1] <= self._last_shared:
            return None
        name = names[-1]
        staged = self._run.path / _STAGING / name
        shutil.rmtree(staged.parent, ignore_errors=True)
        staged.mkdir(parents=True)
        try:
            for entry in (self._run.path / CHECKPOINTS / name).iterdir():
                _link(entry, staged / entry.name)
            journal = self._run.journal.read_bytes() if self._run.journal.exists() else b""
        except FileNotFoundError:  # it was removed meanwhile: a newer one has come
            return None
        (staged / _JOURNAL).write_bytes(journal[: journal.rfind(b"\n") + 1])
        # The training removes a checkpoint only after it has a newer one. Still the newest: nothing of it was missing.
        return staged if checkpoints_of(self._run.path)[-1:] == [name] else None

    def _share(self, staged: Path) -> None:
        uri = f"jobs/{self._lease.job_id}/{self._lease.folder}/{CHECKPOINTS}/{staged.name}"
        files = tuple(_described(path) for path in sorted(staged.iterdir()))
        counted = False
        try:
            for file in files:
                self._store.put(
                    staged / file.name,
                    f"{uri}/{file.name}",
                    size=file.bytes,
                    sha256=file.sha256,
                    on_chunk=self._check,
                )
            older = self._checkpoints.record(
                self._lease,
                SharedCheckpoint(
                    job_id=self._lease.job_id,
                    part=self._lease.part,
                    fence=self._lease.fence,
                    name=staged.name,
                    uri=uri,
                    files=files,
                ),
            )
            counted = True
        except DBAPIError:  # it may have been committed all the same: the files stay
            counted = True
            raise
        finally:
            if not counted:
                self._remove(uri)
        self._last_shared = staged.name
        log.info("checkpoint shared", checkpoint=staged.name, bytes=sum(file.bytes for file in files))
        for checkpoint in older:
            self._remove(checkpoint.uri)

    def _remove(self, uri: str) -> None:
        try:
            self._store.delete_below(uri)
        except ArtifactError as error:  # goes when the job ends
            log.warning("files of a checkpoint not removed", uri=uri, error=str(error))

    def _check(self) -> None:
        if self._given_up.is_set():
            raise GivenUpError("nobody waits for it any more")


@contextmanager
def sharing(
    lease: Lease, run: RunDirectory, *, store: ArtifactStore, checkpoints: CheckpointService, engine: EngineSettings
) -> Iterator[CheckpointSharing | None]:
    """Shares the attempt's checkpoints inside the block; `None` where this worker does not."""
    if lease.is_helper or not is_shared(engine, store):
        yield None
        return
    shared = CheckpointSharing(lease, run, store=store, checkpoints=checkpoints)
    shared.start()
    try:
        yield shared
    finally:
        shared.stop()


def remove_left_overs(
    store: ArtifactStore, job_id: str, *, result: int | None, counted: Sequence[SharedCheckpoint]
) -> None:
    """The job has ended: remove from the store all but the files of its result and the checkpoints that count.

    `result` is the fence under which it succeeded. Raises `ArtifactError`.
    """
    root = f"jobs/{job_id}"
    for of_lease in store.children(root):
        folder = f"{root}/{of_lease}"
        names = {checkpoint.name for checkpoint in counted if checkpoint.folder == of_lease}
        if of_lease == str(result):
            store.delete_below(f"{folder}/{CHECKPOINTS}")
        elif not names:
            store.delete_below(folder)
        else:
            for entry in store.children(folder):
                if entry != CHECKPOINTS:
                    store.delete_below(f"{folder}/{entry}")
            for name in store.children(f"{folder}/{CHECKPOINTS}"):
                if name not in names:
                    store.delete_below(f"{folder}/{CHECKPOINTS}/{name}")


def is_sound(checkpoint: SharedCheckpoint) -> bool:
    """Whether its names can be parts of paths, and its journal is with it."""
    names = [file.name for file in checkpoint.files]
    return (
        CHECKPOINT_NAME.fullmatch(checkpoint.name) is not None
        and all(_FILE_NAME.fullmatch(name) for name in names)
        and _JOURNAL in names
    )


def has_as_new(run: Path, name: str) -> bool:
    """Whether a run directory holds this checkpoint or a later one."""
    return any(found >= name for found in checkpoints_of(run))


def _link(source: Path, target: Path) -> None:
    if not _FILE_NAME.fullmatch(source.name) or not source.is_file():
        if not source.exists():
            raise FileNotFoundError(source)
        raise ArtifactError(f"a checkpoint holds {source.name!r}, which is no plain file", code="artifact.checkpoint")
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _described(path: Path) -> StoredFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return StoredFile(name=path.name, bytes=path.stat().st_size, sha256=digest)
