"""A training process without training, made to be killed: `python -m tests.chaos.child --run-dir D`.

It keeps the contract of `core.training` (journal, checkpoints before events, artifacts, exit codes, death with its
worker), copies its journal from a file, and starts in a few hundredths of a second. `spec.json`'s `metadata` says what
it does; see `tests.chaos.scripts`. `CHAOS_DIR` is the run's folder:

    journals/<kind>-<epochs>.jsonl    what there is to publish
    diary/<job>.<fence>               what this attempt found and did: `<resumed at> <published before>`, a dot an entry
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from core.training.guard import die_with_parent, stop_flag

CHECKPOINT_EVERY = 4
MODEL = b"weights of a model"
_PADDING = b" " * 65536
_LIMIT_BYTES = 16384


class Child:
    """One attempt."""

    def __init__(self, directory: Path) -> None:
        given = json.loads((directory / "spec.json").read_text())
        self.script: dict[str, str] = given["spec"]["metadata"]
        self._directory = directory
        self._fence = int(directory.name)
        self._earlier = [Path(path) for path in given["resume_from"]]
        self._base = Path(os.environ["CHAOS_DIR"])
        self._diary = self._base / "diary" / f"{given['job_id']}.{self._fence}"
        self._job_id: str = given["job_id"]

    def run(self) -> int:
        """Publish what earlier attempts did not; the exit status."""
        kind = self.script["chaos"]
        if kind != "immortal":
            die_with_parent()
        should_stop = stop_flag()
        self._point("start")
        before = self._published_before()
        known = max((self._checkpoint(earlier) for earlier in self._earlier), default=0)
        name = "not_finite" if kind == "not_finite" else "plain"
        lines = (self._base / "journals" / f"{name}-{self.script['epochs']}.jsonl").read_bytes().splitlines(True)
        if not self._directory.exists():  # the job has ended, and with it the checkpoints that we looked for
            return 1
        with self._diary.open("ab", buffering=0) as diary, (self._directory / "events.jsonl").open("ab", 0) as journal:
            diary.write(f"{known} {before}\n".encode())
            if known == len(lines):
                self._write_model()
            journal.write(b"".join(lines[:known]))
            for number, line in enumerate(lines[known:], known + 1):
                time.sleep(float(self.script["pause"]))
                if should_stop():
                    return 75
                if number % CHECKPOINT_EVERY == 0:
                    self._save(number)
                if number == len(lines) and kind != "not_finite":
                    self._write_model()
                self._point("publish.before", number)
                journal.write(line[:20])
                self._point("publish.torn", number)
                journal.write(line[20:])
                diary.write(b".")
                self._progress(number, len(lines))
                self._point("publish.after", number)
                self._misbehave(kind, number)
        self._point("finish")
        return 65 if kind == "not_finite" else 0

    def _misbehave(self, kind: str, number: int) -> None:
        first = self._fence == 1
        if kind == "poison" and number == 2:
            _die()
        if kind == "gated":
            gate = self._base / "gates" / f"{self._fence}.{number}"
            while gate.exists():
                time.sleep(0.01)
        if kind == "hangs" and first and number == 5:
            while True:
                signal.pause()
        if kind == "out_of_memory" and first and number == 5:
            resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))
            bytearray(1 << 30)

    def _save(self, number: int) -> None:
        folder = self._directory / "checkpoints"
        final, written = folder / f"{number:08d}", folder / f".{number:08d}.new"
        self._point("checkpoint.before", number)
        shutil.rmtree(written, ignore_errors=True)
        written.mkdir(parents=True)
        content = f"{number}\nwhole\n".encode()
        if self.script["chaos"] == "disk_full" and self._fence == 1 and number == 2 * CHECKPOINT_EVERY:
            resource.setrlimit(resource.RLIMIT_FSIZE, (_LIMIT_BYTES, _LIMIT_BYTES))
            content += _PADDING
        with (written / "state").open("wb", buffering=0) as file:
            file.write(content[:2])
            self._point("checkpoint.torn", number)
            rest = content[2:]
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        self._point("checkpoint.written", number)
        written.rename(final)
        if self.script.get("die_at") == "checkpoint.corrupted" and self._fence == 1 and number > CHECKPOINT_EVERY:
            (final / "state").write_bytes(content[:2])
            _die()
        for old in sorted(entry for entry in folder.iterdir() if entry.name.isdecimal())[:-2]:
            shutil.rmtree(old, ignore_errors=True)
        self._point("checkpoint.renamed", number)

    def _checkpoint(self, earlier: Path) -> int:
        """The newest whole checkpoint of an attempt; 0 for none."""
        folder = earlier / "checkpoints"
        try:
            names = sorted((entry.name for entry in folder.iterdir() if entry.name.isdecimal()), reverse=True)
        except FileNotFoundError:
            return 0
        for name in names:
            try:
                state = (folder / name / "state").read_text().split("\n")
            except FileNotFoundError:  # a process that should be dead has just removed it: it has a newer one
                return self._checkpoint(earlier)
            if state[1:2] == ["whole"]:
                return int(state[0])
        return 0

    def _published_before(self) -> int:
        """How far any earlier attempt came. Read before the checkpoints are: a stale process may go on meanwhile."""
        furthest = 0
        for fence in range(1, self._fence):
            try:
                furthest = max(furthest, how_far(self._diary.with_suffix(f".{fence}").read_text()))
            except FileNotFoundError:
                continue
        return furthest

    def _write_model(self) -> None:
        folder = self._directory / "artifacts"
        folder.mkdir(exist_ok=True)
        (folder / "model.bin").write_bytes(MODEL[:5])
        self._point("artifact.torn")
        (folder / "model.bin").write_bytes(MODEL)

    def _progress(self, done: int, total: int) -> None:
        said = {
            "phase": "training",
            "percent": 100.0 * done / total,
            "eta_seconds": None,
            "super_epoch": None,
            "epoch": 1,
            "epochs": 1,
            "step": done,
            "steps": total,
            "updated_at": time.time(),
        }
        temporary = self._directory / "progress.json.new"
        temporary.write_text(json.dumps(said))
        temporary.rename(self._directory / "progress.json")

    def _point(self, name: str, number: int = 2 * CHECKPOINT_EVERY) -> None:
        """Die here, if that is in the script. Points that are passed often count at the second checkpoint."""
        if self._fence == 1 and self.script.get("die_at") == name and number == 2 * CHECKPOINT_EVERY:
            _die()


def how_far(diary: str) -> int:
    """The last entry that an attempt published, by its diary; 0 where it was killed before its first word."""
    first, written, dots = diary.partition("\n")
    return int(first.split()[0]) + len(dots) if written else 0


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def main() -> int:
    """Runs the directory that the command line names; a job without a script is trained for real."""
    directory = Path(sys.argv[sys.argv.index("--run-dir") + 1])
    child = Child(directory) if "chaos" in _metadata(directory) else None
    if child is None:
        os.execv(sys.executable, [sys.executable, "-m", "core.training", "--run-dir", str(directory)])
    return child.run()


def _metadata(directory: Path) -> dict[str, str]:
    metadata: dict[str, str] = json.loads((directory / "spec.json").read_text())["spec"]["metadata"]
    return metadata


if __name__ == "__main__":
    sys.exit(main())
