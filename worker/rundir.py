"""Run directories: `<runs>/<job id>/<fence>/`, one per attempt, so that a stale child never writes into a live one's.

Those of the estimate of one head are `<runs>/<job id>/e<slot>.<fence>/`, those of a further machine of a job
`n<number>.<fence>`.

spec.json        what to train, where earlier attempts left checkpoints, how often to write one
estimates/       the losses of all heads, where other workers have estimated them
events.jsonl     the child's journal
progress.json    where it is now
failure.json     why the attempt ended, where a later one may succeed
child.log        its standard output and error
checkpoints/ artifacts/
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.data.hub_access import HubAccess
from core.errors import ArtifactError
from core.events import ArtifactWritten, EstimateCompleted, Progress
from core.jobs.lease import Lease
from core.settings import DataSettings

LOG_NAME = "child.log"
CHECKPOINTS = "checkpoints"
MEETING = "meeting.json"
"""Written by the training (`core.training.nodes`), which cannot be imported here: it needs torch."""
FAILURE = "failure.json"
"""Written by the training as well (`core.training.drive`)."""
CHECKPOINT_NAME = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20}){0,3}")
"""Of a finished checkpoint's folder (`core.training.checkpoint`)."""
_RESUMABLE = {LOG_NAME, CHECKPOINTS, "events.jsonl"}
_ATTEMPT = re.compile(r"(?:(?P<part>[en][0-9]+)\.)?[0-9]+")
_TAIL_BYTES = 8192


class RunDirectory:
    """The directory of one attempt."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(
        cls,
        runs: Path,
        lease: Lease,
        roots: Mapping[str, Path],
        *,
        fetched: Sequence[Path] = (),
        checkpoint_seconds: float | None = None,
        features: tuple[Path, int] | None = None,
        hub: HubAccess | None = None,
        loading: DataSettings | None = None,
        address: str = "127.0.0.1",
        patience: float = 300.0,
    ) -> RunDirectory:
        """Make the directory and its `spec.json`; what an earlier, crashed start of this fence left is removed.

        `fetched`: folders like run directories with checkpoints of other machines. `checkpoint_seconds`: the most work
        between two checkpoints, and `loading`: how data are loaded, if not what the training finds right. `features`:
        where those of frozen encoders are kept, and how many bytes of them; `hub`: which models may be fetched.
        `address`: of this machine, for the others
        of the job; `patience`: for how many seconds they are waited for.
        """
        job = runs / lease.job_id
        path = job / lease.folder
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        earlier = [path for path in attempts_of(job, lease.part) if fence_of(path) < lease.fence]
        retried = [path for job_id in lease.retry_of for path in attempts_of(runs / job_id, lease.part)]
        content: dict[str, Any] = {
            "job_id": lease.job_id,
            "spec": lease.spec,
            "roots": {name: str(root.absolute()) for name, root in roots.items()},
            "resume_from": [str(path.absolute()) for path in (*earlier, *fetched, *retried)],
            **({} if lease.dataset_fingerprint is None else {"dataset_fingerprint": lease.dataset_fingerprint}),
            **({} if features is None else {"features": str(features[0].absolute()), "features_bytes": features[1]}),
            **({} if hub is None else {"hub": hub.to_json()}),
            **({} if checkpoint_seconds is None else {"checkpoint_seconds": checkpoint_seconds}),
            **({} if loading is None else {"loading": loading.model_dump(exclude_none=True)}),
        }
        run = cls(path)
        if lease.head is not None:
            content["head"] = lease.head
        if lease.node is not None:
            content["nodes"] = {**asdict(lease.node), "address": address, "patience": patience}
        if lease.estimates:
            content["estimates"] = [str(run.estimate(slot).absolute()) for slot in range(len(lease.estimates))]
        (path / "spec.json").write_text(json.dumps(content, allow_nan=False))
        return run

    @property
    def journal(self) -> Path:
        """The child's journal."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """The child's output."""
        return self.path / LOG_NAME

    def progress(self) -> Progress | None:
        """Where the run is now; `None` before it said so."""
        try:
            return Progress.model_validate_json((self.path / "progress.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def failure(self) -> dict[str, Any] | None:
        """Why the attempt ended, as the child tells it where a later one may succeed: `{code, message, hint, errors}`;
        `None` where it told nothing."""
        try:
            told = json.loads((self.path / FAILURE).read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        is_told = isinstance(told, dict) and {"code", "message"} <= told.keys()
        return told if is_told else None

    def meeting(self) -> str | None:
        """`address:port` where the first machine's training waits for the others; `None` before it does."""
        try:
            return str(json.loads((self.path / MEETING).read_bytes())["endpoint"])
        except FileNotFoundError:
            return None

    def estimate(self, slot: int) -> Path:
        """Where the losses of a head belong that another worker has estimated."""
        return self.path / "estimates" / f"{slot}.safetensors"

    def artifact(self, written: ArtifactWritten | EstimateCompleted) -> Path:
        """Where an announced file lies; `ArtifactError` for a path that leads out of the directory."""
        path = (self.path / written.path).resolve()
        if not path.is_relative_to(self.path.resolve()):
            raise ArtifactError(f"{written.path!r} lies outside the run directory", code="artifact.path")
        return path

    def log_tail(self, lines: int = 20) -> list[str]:
        """The last lines of the child's output."""
        try:
            with self.log.open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - _TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return []
        return [line.replace("\x00", "\ufffd") for line in text.splitlines()[-lines:]]


def attempts_of(job: Path, part: str = "") -> list[Path]:
    """The run directories of one of a job's units (`Lease.part`), the newest first."""
    return _by_part(job).get(part, [])


def fence_of(attempt: Path) -> int:
    """The fence of a run directory."""
    return int(attempt.name.rpartition(".")[2])


def _by_part(job: Path) -> dict[str, list[Path]]:
    """Each unit's run directories, the newest first."""
    found: dict[str, list[Path]] = {}
    for entry in _entries(job):
        named = _ATTEMPT.fullmatch(entry.name)
        if named is not None:
            found.setdefault(named["part"] or "", []).append(entry)
    return {part: sorted(attempts, key=fence_of, reverse=True) for part, attempts in found.items()}


def checkpoints_of(attempt: Path) -> list[str]:
    """Names of the finished checkpoints of a run directory, in the order of the run."""
    names = (entry.name for entry in _entries(attempt / CHECKPOINTS))
    return sorted(name for name in names if CHECKPOINT_NAME.fullmatch(name))


def discard(job: Path) -> None:
    """Remove a job's run directories."""
    shutil.rmtree(job, ignore_errors=True)


def condense(job: Path) -> None:
    """Of a job's run directories keep what a retry needs, and people: of each unit the checkpoints of the attempt that
    got furthest with its journal, which they refer to, and every attempt's `child.log`."""
    for attempts in _by_part(job).values():
        _condense(attempts)


def _condense(attempts: Sequence[Path]) -> None:
    """The run directories of one unit."""
    newest = max(attempts, key=_newest_checkpoint, default=None)
    for attempt in attempts:
        kept = _RESUMABLE if attempt == newest and _newest_checkpoint(attempt) else {LOG_NAME}
        for entry in _entries(attempt):
            if entry.name in kept:
                continue
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def sweep(
    runs: Path, ended: Callable[[Collection[str]], set[str]], disposable: Callable[[Collection[str]], set[str]]
) -> None:
    """Tidy up after jobs that ended elsewhere, or whose worker died before it could: `discard` the `disposable`, which
    nobody can want again, `condense` the other `ended` ones.

    Only folders named like a job are looked at: whatever else an operator keeps there is none of ours.
    """
    sweep_disposable(runs, disposable)
    for job_id in ended(_jobs_in(runs)):
        condense(runs / job_id)


def sweep_disposable(runs: Path, disposable: Callable[[Collection[str]], set[str]]) -> None:
    """Remove the run directories of jobs that were deleted, or that succeeded elsewhere, logs and all."""
    for job_id in disposable(_jobs_in(runs)):
        discard(runs / job_id)


def _jobs_in(runs: Path) -> list[str]:
    return [entry.name for entry in _entries(runs) if entry.name.startswith("job_") and entry.is_dir()]


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder; nothing where there is none, or another worker on this disk has just removed it."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _newest_checkpoint(attempt: Path) -> str:
    """Its name, which sorts as the run went on; empty where there is none."""
    return max(checkpoints_of(attempt), default="")
