"""Run directories: `<runs>/<job id>/<fence>/`, one per attempt, so that a stale child never writes into a live one's.

spec.json        what to train and where earlier attempts left checkpoints
events.jsonl     the child's journal
progress.json    where it is now
child.log        its standard output and error
checkpoints/ artifacts/
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from pydantic import ValidationError

from core.errors import ArtifactError
from core.events import ArtifactWritten, Progress
from core.jobs.lease import Lease

LOG_NAME = "child.log"
_TAIL_BYTES = 8192


class RunDirectory:
    """The directory of one attempt."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, runs: Path, lease: Lease, roots: Mapping[str, Path]) -> RunDirectory:
        """Make the directory and its `spec.json`; what an earlier, crashed start of this fence left is removed."""
        job = runs / lease.job_id
        path = job / str(lease.fence)
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        earlier = sorted((int(entry.name) for entry in job.iterdir() if entry.name.isdecimal()), reverse=True)
        content = {
            "job_id": lease.job_id,
            "spec": lease.spec,
            "roots": {name: str(root.absolute()) for name, root in roots.items()},
            "resume_from": [str(job.absolute() / str(fence)) for fence in earlier if fence < lease.fence],
        }
        (path / "spec.json").write_text(json.dumps(content, allow_nan=False))
        return cls(path)

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

    def artifact(self, written: ArtifactWritten) -> Path:
        """Where an announced file lies; `ArtifactError` for a path that leads out of the directory."""
        path = (self.path / written.path).resolve()
        if not path.is_relative_to(self.path.resolve()):
            raise ArtifactError(f"the artifact {written.name} lies outside the run directory", code="artifact.path")
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


def discard(job: Path, *, keep_logs: bool) -> None:
    """Remove a job's run directories; `keep_logs`: all but the `child.log` of every attempt."""
    if not keep_logs:
        shutil.rmtree(job, ignore_errors=True)
        return
    for entry in job.glob("*/*"):
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != LOG_NAME:
            entry.unlink(missing_ok=True)


def sweep(runs: Path, ended: Callable[[Collection[str]], set[str]]) -> None:
    """Tidy up after jobs that ended elsewhere, or whose worker died before it could. Logs stay.

    Only folders named like a job are looked at: whatever else an operator keeps there is none of ours.
    """
    if runs.is_dir():
        for job_id in ended([entry.name for entry in runs.glob("job_*") if entry.is_dir()]):
            discard(runs / job_id, keep_logs=True)
