"""One training on several devices of this machine: torchrun's launcher, with a training process's manners.

torchrun starts a process per device and ends all of them when one ends badly. What it does not do is pass on how they
ended: any failure is exit status 1. Here a stop stays a stop, a failure that a retry will not mend one of those, and a
process that was killed counts as killed. Nothing is restarted in place (the engine does that, from a checkpoint, on
whatever machine there is), and the processes meet in files of the run directory rather than at a port.

Each of them ends with this process (the kernel's signal) and with the supervisor's pipe, which all of them inherit.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from core.training.printing import log

# By itself torchrun opens a port, on all interfaces, for processes that do not need it here.
_NO_PORT = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


def launch(run_dir: Path, devices: int, should_stop: Callable[[], bool]) -> int:
    """Trains in `devices` processes; returns the exit code of a training process (`core.training.__main__`).

    Does not return where a signal killed one of them: then it ends this process as well.
    """
    # torchrun hears signals from the moment at which its processes run; until then there is nothing to stop but this.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(os.EX_TEMPFAIL))
    if should_stop():
        return os.EX_TEMPFAIL
    run_id = uuid4().hex
    os.environ.update(_NO_PORT)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=run_id,
        rdzv_backend="c10d",
        rdzv_endpoint=str(run_dir / f".launch.{run_id}"),
        rdzv_configs={"store_type": "file"},
        local_addr="127.0.0.1",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=os.devnull),
    )
    try:
        elastic_launch(config, sys.executable)("-m", "core.training", "--run-dir", str(run_dir))
    except SignalException as stopped:
        log.info("the processes were stopped by %s", stopped.sigval.name)
        return os.EX_TEMPFAIL
    except ChildFailedError as error:
        code = verdict({rank: failure.exitcode for rank, failure in error.failures.items()})
        if code < 0:
            if -code != signal.SIGKILL:
                signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        return code
    return os.EX_OK


def verdict(codes: Mapping[int, int]) -> int:
    """What the processes' exit codes (negative: the signal) come to, by rank, without those that ended well.

    The first process speaks for all if it ended in good order. Where one crashed the others were ended by torchrun's
    SIGTERM, or failed because it was gone: the signal that it died of says most.
    """
    told = {os.EX_DATAERR, os.EX_TEMPFAIL, os.EX_UNAVAILABLE, os.EX_IOERR}
    passing = [code for code in codes.values() if code == os.EX_IOERR]
    if codes.get(0) in told and not (passing and codes[0] == os.EX_TEMPFAIL):  # stopped, because of the other one
        return codes[0]
    crashed = [code for code in codes.values() if code not in told and code != -signal.SIGTERM]
    killed = [code for code in crashed if code < 0]
    return (killed or passing or crashed or sorted(told & set(codes.values())) or list(codes.values()))[0]
