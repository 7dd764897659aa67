"""A training process without training: it keeps the contract of `core.training`, and breaks it on demand.

    python -m tests.integration.engine.scripted_child --run-dir D

What it does is written in the spec's `metadata`:

    epochs       how many; a run has 3 * epochs + 2 entries
    pause        seconds before every entry
    gate         a path: after entry n, for each n in `gates`, wait until the file `<gate>.<n>` exists
    crash_at     number of the entry after which it kills itself, in attempts up to `crash_until` (default 1)
    fail         code of a permanent failure after the first entry
    stubborn     ignore SIGTERM
    quit_at      number of the entry after which it ends with exit status 0, as if that were all
    grandchild   a file: start a process that sleeps, and write its id there
    diary        a file: append a line per attempt, `<job id> <fence>`
    pids         a file: append this process's id
    truncated    leave a model file that is not the announced one
    garbage      write a journal line that is none
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from core.events import JournalEntry, Progress, RunFailed, encode
from core.training.guard import die_with_parent, stop_flag
from tests.integration.engine.samples import MODEL, run

CHECKPOINT_EVERY = 4


def main() -> int:
    """Publish the entries, from the newest checkpoint on."""
    directory = Path(sys.argv[sys.argv.index("--run-dir") + 1])
    given = json.loads((directory / "spec.json").read_text())
    script: dict[str, str] = given["spec"]["metadata"]
    fence = int(directory.name)
    die_with_parent()
    should_stop = stop_flag()
    _leave_traces(script, given["job_id"], fence)
    (directory / "artifacts").mkdir()
    (directory / "artifacts" / "model.bin").write_bytes(MODEL[:-1] if "truncated" in script else MODEL)
    crash_at = int(script.get("crash_at", "0")) if fence <= int(script.get("crash_until", "1")) else 0
    entries = run(int(script.get("epochs", "3")))
    known = max((_checkpoint(Path(earlier)) for earlier in given["resume_from"]), default=0)
    with (directory / "events.jsonl").open("ab") as journal:
        journal.write(b"".join(encode(entry) for entry in entries[:known]))
        if "garbage" in script:
            journal.write(b'{"number": 1}\n')
        journal.flush()
        for entry in entries[known:]:
            time.sleep(float(script.get("pause", "0")))
            if should_stop() and "stubborn" not in script:
                return 75
            _publish(journal.fileno(), entry)
            _progress(directory, entry.number, len(entries))
            if entry.number % CHECKPOINT_EVERY == 0:
                (directory / "checkpoint").write_text(str(entry.number))
            if str(entry.number) in script.get("gates", "").split():
                _wait_for(Path(f"{script['gate']}.{entry.number}"), should_stop)
            if entry.number == crash_at:
                print("about to crash", flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            if str(entry.number) == script.get("quit_at"):
                return 0
            if "fail" in script:
                failed = RunFailed(code=script["fail"], message="the data are bad", hint="mend them")
                _publish(journal.fileno(), JournalEntry(number=2, event=failed))
                return 65
    return 0


def _wait_for(gate: Path, should_stop: Callable[[], bool]) -> None:
    while not gate.exists() and not should_stop():
        time.sleep(0.01)


def _publish(journal: int, entry: JournalEntry) -> None:
    line = encode(entry)
    os.write(journal, line[:10])  # torn on purpose: a reader must wait for the newline
    os.write(journal, line[10:])


def _checkpoint(earlier: Path) -> int:
    path = earlier / "checkpoint"
    return int(path.read_text()) if path.exists() else 0


def _progress(directory: Path, done: int, total: int) -> None:
    progress = Progress(
        phase="training",
        percent=100.0 * done / total,
        eta_seconds=None,
        super_epoch=None,
        epoch=1,
        epochs=1,
        step=done,
        steps=total,
        updated_at=time.time(),
    )
    temporary = directory / "progress.json.new"
    temporary.write_text(progress.model_dump_json())
    temporary.rename(directory / "progress.json")


def _leave_traces(script: dict[str, str], job_id: str, fence: int) -> None:
    if "diary" in script:
        with open(script["diary"], "a") as diary:
            diary.write(f"{job_id} {fence}\n")
    if "pids" in script:
        with open(script["pids"], "a") as pids:
            pids.write(f"{os.getpid()}\n")
    if "grandchild" in script:
        sleeper = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL)
        Path(script["grandchild"]).write_text(str(sleeper.pid))


if __name__ == "__main__":
    sys.exit(main())
