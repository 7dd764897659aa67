"""The training process: started in a process group of its own, asked to stop, killed if it does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO

from worker.rundir import RunDirectory

COMPLETE, PERMANENT_FAILURE, NODES_MISSING, PASSING_FAILURE, STOPPED = 0, 65, 69, 74, 75
"""Exit codes of the child (sysexits: EX_OK, EX_DATAERR, EX_UNAVAILABLE, EX_IOERR, EX_TEMPFAIL). Anything else is a
crash."""

TRAINING = (sys.executable, "-m", "core.training")

_OF_STORES = ("AWS_", "FSSPEC_", "GOOGLE_APPLICATION_CREDENTIALS")
_NOT_FOR_TRAININGS = ("GBLEND_", "AZURE_STORAGE_")
_OF_A_RANK = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
"""By which a process knows that torchrun, or a cluster, started it: a worker's own are not its trainings'."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


class TrainingChild:
    """One child. It ends itself when its stdin closes, so a worker that dies takes it along.

    The thread that makes it must outlive it: the child asks the kernel for SIGKILL when its parent *thread* ends.
    """

    def __init__(
        self,
        run: RunDirectory,
        *,
        command: Sequence[str] = TRAINING,
        gpus: Sequence[str] = (),
        nice: int = 0,
        remote_data: bool = False,
    ) -> None:
        with run.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--run-dir", str(run.path.absolute())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=child_environment(os.environ, gpus, remote_data=remote_data),
            )
        if nice:
            # From outside: between fork and exec nothing may run in a process with threads. Priorities are those of
            # threads, and new ones inherit them: at this moment the child has one.
            own = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PROCESS, self._process.pid, min(own + nice, 19))

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


def child_environment(own: Mapping[str, str], gpus: Sequence[str], *, remote_data: bool = False) -> dict[str, str]:
    """The worker's environment without the service's settings and the artifact store's (they hold passwords, and a
    training needs neither, but where its data may lie on an object store: `remote_data`), with one thread and these
    GPUs."""
    hidden = _NOT_FOR_TRAININGS if remote_data else (*_NOT_FOR_TRAININGS, *_OF_STORES)
    environment = {
        name: value for name, value in own.items() if not name.upper().startswith(hidden) and name not in _OF_A_RANK
    }
    environment.update(_ONE_THREAD)
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    return environment


def describe_exit(code: int) -> str:
    """`was killed by SIGKILL` or `ended with exit status 1`."""
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
