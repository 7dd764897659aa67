"""A gblend service of our own: started on a free loopback port, stopped with everything it started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from examples._interrupts import Interrupts

ROOT = Path(__file__).resolve().parents[1]
READY = re.compile(r"^gblend: ready at (http://\S+)$", re.MULTILINE)
READY_WITHIN_SECONDS = 60.0
STOPS_WITHIN_SECONDS = 10.0
"""After each SIGTERM; the second one makes the service kill what is left."""


class ServiceError(Exception):
    """The service did not start; the message ends with its log."""


@contextmanager
def own_service(data: Path, interrupts: Interrupts, *, workers: int | None = None) -> Iterator[str]:
    """Run `gblend-server up` with `data://` meaning `data`; yields its URL.

    Database, broker and artifacts live in a temporary folder that goes with it. The service gets a session of its
    own, so that Ctrl-C in the terminal reaches only us, and we stop it in order.
    """
    with tempfile.TemporaryDirectory(prefix="gblend-example-", ignore_cleanup_errors=True) as state:
        log = Path(state) / "service.log"
        command = [sys.executable, "-m", "api.cli", "up", "--port", "0", "--data", str(data), "--state-dir", state]
        command += ["--parent-pid", str(os.getpid())]  # even if we are killed, it ends
        command += [] if workers is None else ["--workers", str(workers)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=state,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield _wait_until_ready(process, log, interrupts)
        finally:
            if interrupts.exit_status:
                print("interrupted: stopping the service and its jobs ...", flush=True)
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path, interrupts: Interrupts) -> str:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while True:
        said = log.read_text(errors="replace")
        found = READY.search(said)
        if found:
            return found[1]
        if process.poll() is not None or time.monotonic() > deadline:
            ended = "did not become ready" if process.returncode is None else f"ended with {process.returncode}"
            raise ServiceError(f"gblend-server {ended}:\n{said[-4000:]}")
        interrupts.pause(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(STOPS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            continue
