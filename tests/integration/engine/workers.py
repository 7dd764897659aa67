"""Real worker processes, as an operator would start them, with the scripted child."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from api.queue import UnitQueue
from core.jobs.broker import READY_FILE_VARIABLE
from core.jobs.service import JobService
from core.persistence import Database
from core.settings import EngineSettings, Settings
from tests.servers import wait_until


class WorkerProcessHandle:
    """One worker process."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, ready: Path) -> None:
        self.process = process
        self._log = log
        self._ready = ready

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace")

    def wait_until_ready(self) -> None:
        """Until it consumes its queue."""
        wait_until(lambda: self._ready.exists() or self.process.poll() is not None, "the worker to be ready")
        assert self.process.poll() is None, self.log

    def end(self, how: signal.Signals) -> int:
        """Send a signal and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(30)


class Deployment:
    """A database, a broker and any number of workers."""

    def __init__(self, folder: Path, *, database_url: str, broker_url: str | None, engine: EngineSettings) -> None:
        self._folder = folder
        self._environment = {
            "GBLEND_STATE_DIR": str(folder / "state"),
            "GBLEND_DATABASE__URL": database_url,
            **({} if broker_url is None else {"GBLEND_BROKER__URL": broker_url}),
            **{
                f"GBLEND_ENGINE__{name.upper()}": str(value)
                for name, value in engine.model_dump(exclude_none=True).items()
            },
        }
        self._workers: list[WorkerProcessHandle] = []
        self.settings = Settings(
            state_dir=folder / "state",
            database={"url": database_url},
            broker={"url": broker_url},
            engine=engine,
        )
        self.database = Database(database_url)
        self.queue = UnitQueue(self.settings)
        self.jobs = JobService(self.database, max_attempts=engine.max_attempts, announce=self.queue.send)

    def start_worker(self, *, wait: bool = True, **environment: str) -> WorkerProcessHandle:
        """One more worker; `environment` wins over the deployment's."""
        number = len(self._workers) + 1
        log, ready = self._folder / f"worker-{number}.log", self._folder / f"worker-{number}.ready"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "-A", "tests.integration.engine.scripted_worker", "worker"),
                    *("--without-gossip", "--without-mingle", "--without-heartbeat", "-n", f"worker-{number}@test"),
                ],
                env={**os.environ, **self._environment, READY_FILE_VARIABLE: str(ready), **environment},
                stdout=output,
                stderr=output,
            )
        handle = WorkerProcessHandle(process, log, ready)
        self._workers.append(handle)
        if wait:
            handle.wait_until_ready()
        return handle

    def wait_until_ended(self, *job_ids: str, seconds: float = 60.0) -> None:
        """Until all these jobs are in a terminal state."""
        wait_until(
            lambda: all(self.jobs.get(job_id).status.is_terminal for job_id in job_ids),
            "the jobs to end",
            seconds=seconds,
        )

    def close(self) -> None:
        """Kill what still runs."""
        for worker in self._workers:
            worker.end(signal.SIGKILL)
        self.queue.close()
        self.database.close()
