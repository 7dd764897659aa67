"""Processes of one fleet: found by a mark in their environment, so that nobody else's is ever touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import is_running

ROOT = Path(__file__).parents[2]
MARK = "CHAOS_TOKEN"


@dataclass
class Member:
    """A worker or an API process that is kept alive: who ends is started again."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    suspended: bool = False
    stale: list[subprocess.Popen[bytes]] = field(default_factory=list)
    """Earlier processes that were replaced while they were stopped, and may go on any moment."""

    def start(self) -> None:
        """Start it, in a process group of its own."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.starts += 1
        self.suspended = False

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        assert self.process is not None
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs (or is stopped)."""
        return self.process is not None and self.process.poll() is None

    def send(self, number: signal.Signals) -> bool:
        """A signal to the process alone; whether it was there."""
        if self.process is None or self.process.poll() is not None:
            return False
        self.process.send_signal(number)
        return True

    def every_pid(self) -> list[int]:
        """Of the process and of those before it that still live."""
        return [p.pid for p in (self.process, *self.stale) if p is not None and p.poll() is None]


def python(*arguments: str) -> list[str]:
    """`python -m ARGUMENTS`."""
    return [sys.executable, "-m", *arguments]


def marked(token: str) -> dict[int, str]:
    """Process id -> command line of everything with the mark `token` that runs."""
    needle = f"{MARK}={token}".encode()
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if needle in (path / "environ").read_bytes().split(b"\0"):
                pid = int(path.name)
                if is_running(pid):
                    found[pid] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def children_of(token: str) -> list[int]:
    """The training processes."""
    return [pid for pid, line in marked(token).items() if "--run-dir" in line]


def parent_of(pid: int) -> int | None:
    """Its parent's id; `None` where it is gone."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None


def signal_all(pids: Sequence[int], number: signal.Signals) -> int:
    """Send it to each; how many were there."""
    sent = 0
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            sent += 1
    return sent


def kill_marked(token: str, *, spare: Callable[[str], bool] = lambda _: False) -> list[str]:
    """SIGKILL to whatever with the mark still runs; their command lines."""
    left = {pid: line for pid, line in marked(token).items() if not spare(line)}
    signal_all(list(left), signal.SIGKILL)
    return list(left.values())
