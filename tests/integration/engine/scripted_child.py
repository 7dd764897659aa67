"""A training process without training: it keeps the contract of `core.training`, and breaks it on demand.

    python -m tests.integration.engine.scripted_child --run-dir D

Asked for the estimate of a head it publishes a run's entries' worth of that; asked for a run whose heads others have
estimated it looks whether their files are there. What it does is written in the spec's `metadata`:

    epochs       how many; a run has 3 * epochs + 2 entries
    pause        seconds before every entry
    gate         a path: after entry n, for each n in `gates`, wait until the file `<gate>.<n>` exists
    crash_at     number of the entry after which it kills itself, in attempts up to `crash_until` (default 1)
    mended       a file: once it is there, it does not crash any more
    fail         code of a permanent failure after the first entry
    unreachable  code of what it cannot reach before the first entry, in attempts up to `unreachable_until` (default 1)
    stubborn     ignore SIGTERM
    quit_at      number of the entry after which it ends with exit status 0, as if that were all
    grandchild   a file: start a process that sleeps, and write its id there
    diary        a file: append a line per attempt, `<job id> <fence>`
    resumed      a file: append a line per attempt, the number of the checkpoint that it goes on from
    pids         a file: append this process's id
    hang_at      number of the entry after which it does nothing any more, in attempts up to `hang_until` (default 1)
    gpus         a file: append a line, `<job id> <CUDA_VISIBLE_DEVICES>`
    prints       text with Python's escapes: print it first, as bytes, in Latin-1
    only         a head: everything that goes wrong above goes wrong in its estimate alone
    environment  print the environment, a variable a line
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
from tests.integration.engine.samples import HEADS, MODEL, estimate, losses_of, run

CHECKPOINT_EVERY = 4
_WRONG = ("crash_at", "fail", "stubborn", "quit_at", "hang_at", "truncated", "garbage", "gate", "gates")


def main() -> int:
    """Publish the entries, from the newest checkpoint on."""
    directory = Path(sys.argv[sys.argv.index("--run-dir") + 1])
    given = json.loads((directory / "spec.json").read_text())
    script: dict[str, str] = given["spec"]["metadata"]
    fence = int(directory.name.rpartition(".")[2])
    head: str | None = given.get("head")
    if script.get("only", head) != head:
        script = {key: value for key, value in script.items() if key not in _WRONG}
    die_with_parent()
    asked_to_stop = stop_flag()
    asked_to_stop()  # it is at work from now on: SIGTERM is noted, no more
    should_stop = (lambda: False) if "stubborn" in script else asked_to_stop
    _leave_traces(script, given["job_id"], fence)
    if "unreachable" in script and fence <= int(script.get("unreachable_until", "1")):
        failure = {"code": script["unreachable"], "message": "the hub cannot be reached", "hint": "try again"}
        (directory / "failure.json").write_text(json.dumps(failure))
        return 74
    _print(script)
    (directory / "artifacts").mkdir()
    (directory / "artifacts" / "model.bin").write_bytes(MODEL[:-1] if "truncated" in script else MODEL)
    crash_at = int(script.get("crash_at", "0")) if fence <= int(script.get("crash_until", "1")) else 0
    epochs = int(script.get("epochs", "3"))
    losses = b"".join(Path(path).read_bytes() for path in given.get("estimates", ()))
    assert losses == b"".join(losses_of(name) for name in HEADS if given.get("estimates"))
    if head is not None:
        (directory / "estimate.bin").write_bytes(losses_of(head))
    entries = run(epochs) if head is None else estimate(head, epochs)
    known = max((_checkpoint(Path(earlier)) for earlier in given["resume_from"]), default=0)
    if "resumed" in script:
        with open(script["resumed"], "a") as resumed:
            resumed.write(f"{known}\n")
    with (directory / "events.jsonl").open("ab") as journal:
        journal.write(b"".join(encode(entry) for entry in entries[:known]))
        if "garbage" in script:
            journal.write(b'{"number": 1}\n')
        journal.flush()
        for entry in entries[known:]:
            time.sleep(float(script.get("pause", "0")))
            if should_stop():
                return 75
            _publish(journal.fileno(), entry)
            _progress(directory, entry.number, len(entries))
            if entry.number % CHECKPOINT_EVERY == 0:
                _write_checkpoint(directory, entry.number)
            if str(entry.number) in script.get("gates", "").split():
                _wait_for(Path(f"{script['gate']}.{entry.number}"), should_stop)
            if entry.number == crash_at and not Path(script.get("mended", "/nowhere")).exists():
                print("about to crash", flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            if str(entry.number) == script.get("hang_at") and fence <= int(script.get("hang_until", "1")):
                print("about to hang", flush=True)
                signal.pause()
            if str(entry.number) == script.get("quit_at"):
                return 0
            if "fail" in script:
                failed = RunFailed(code=script["fail"], message="the data are bad", hint="mend them")
                _publish(journal.fileno(), JournalEntry(number=2, event=failed))
                return 65
    return 0


def _print(script: dict[str, str]) -> None:
    printed = script.get("prints", "").encode().decode("unicode_escape").encode("latin-1")
    if printed:
        os.write(1, printed + b"\n")
    if "environment" in script:
        os.write(1, "".join(f"{name}={value}\n" for name, value in os.environ.items()).encode())


def _wait_for(gate: Path, should_stop: Callable[[], bool]) -> None:
    while not gate.exists() and not should_stop():
        time.sleep(0.01)


def _publish(journal: int, entry: JournalEntry) -> None:
    line = encode(entry)
    os.write(journal, line[:10])  # torn on purpose: a reader must wait for the newline
    os.write(journal, line[10:])


def _write_checkpoint(directory: Path, number: int) -> None:
    """In the layout of `core.training.checkpoint`: a folder of this name, there whole or not at all."""
    temporary = directory / "checkpoints" / f".{number:08d}"
    temporary.mkdir(parents=True)
    (temporary / "state.json").write_text(json.dumps({"number": number}))
    temporary.rename(temporary.with_name(f"{number:08d}"))


def _checkpoint(earlier: Path) -> int:
    found = [int(path.name) for path in (earlier / "checkpoints").glob("*") if path.name.isdecimal()]
    return max(found, default=0)


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
    if "gpus" in script:
        with open(script["gpus"], "a") as gpus:
            gpus.write(f"{job_id} {os.environ['CUDA_VISIBLE_DEVICES']}\n")
    if "pids" in script:
        with open(script["pids"], "a") as pids:
            pids.write(f"{os.getpid()}\n")
    if "grandchild" in script:
        sleeper = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL)
        Path(script["grandchild"]).write_text(str(sleeper.pid))


if __name__ == "__main__":
    sys.exit(main())
