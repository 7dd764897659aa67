"""Processes that start each other: becoming a worker, and not outliving the one that started us."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from core.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
"""Where the packages `api`, `worker` and `core` lie."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""Two OpenMP threads that spin on busy cores cost a factor of 200; torch reads this when it is imported."""

_PR_SET_PDEATHSIG = 1


def die_with(parent_pid: int | None) -> None:
    """Get SIGTERM when the process `parent_pid`, our parent, ends in whatever way; kept across `exec`. Linux only."""
    if parent_pid is None or not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:  # it ended before we asked
        sys.exit(1)


def environment() -> dict[str, str]:
    """Ours, for processes that must find the same packages that we run from."""
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": str(ROOT) if not path else f"{ROOT}{os.pathsep}{path}"}


def exec_worker(settings: Settings) -> NoReturn:
    """Become a Celery worker; `worker.process` says with how many slots, and on which queues."""
    arguments = [
        *(sys.executable, "-m", "celery", "--quiet", "-A", "worker.celery_app", "worker"),
        *("--hostname", f"worker-{os.getpid()}@%h"),
        *("--loglevel", settings.log.level.upper()),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    os.execve(sys.executable, arguments, {**ONE_THREAD, **environment()})
