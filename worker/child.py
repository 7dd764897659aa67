"""The training process: started in a process group of its own, asked to stop, killed if it does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO

from worker.rundir import RunDirectory

COMPLETE, PERMANENT_FAILURE, STOPPED = 0, 65, 75
"""Exit codes of the child (sysexits: EX_OK, EX_DATAERR, EX_TEMPFAIL). Anything else is a crash."""

TRAINING = (sys.executable, "-m", "core.training")

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


class TrainingChild:
    """One child. It ends itself when its stdin closes, so a worker that dies takes it along.

    The thread that makes it must outlive it: the child asks the kernel for SIGKILL when its parent *thread* ends.
    """

    def __init__(self, run: RunDirectory, *, command: Sequence[str] = TRAINING, gpu: str | None = None) -> None:
        with run.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--run-dir", str(run.path.absolute())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=child_environment(os.environ, gpu),
            )

    @property
    def pid(self) -> int:
        """Process id, and id of its process group."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit status (negative: the signal), or `None` while it runs. What it left in its group is killed."""
        running = self._process.returncode is None
        code = self._process.poll()
        if code is not None and running:
            self._signal_group()
            self._close()
        return code

    def ask_to_stop(self) -> None:
        """SIGTERM: write a checkpoint at the next safe point, exit with `STOPPED`."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL to the whole group, and wait until the child is gone."""
        if self._process.returncode is None:
            self._signal_group()
            self._process.wait()
            self._close()

    def _signal_group(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # the group is empty (macOS says EPERM for one of zombies)

    def _close(self) -> None:
        stdin: IO[bytes] | None = self._process.stdin
        if stdin is not None:
            stdin.close()


def child_environment(own: Mapping[str, str], gpu: str | None) -> dict[str, str]:
    """The worker's environment without the service's settings (they hold passwords), with one thread and one GPU."""
    environment = {name: value for name, value in own.items() if not name.upper().startswith("GBLEND_")}
    environment.update(_ONE_THREAD)
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    return environment


def describe_exit(code: int) -> str:
    """`was killed by SIGKILL` or `ended with exit status 1`."""
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
