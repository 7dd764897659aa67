"""A whole deployment to be harmed: servers, workers and API processes, each kept alive by starting it again."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from uuid import uuid4

import httpx

from api.queue import UnitQueue
from core.jobs.broker import READY_FILE_VARIABLE
from core.jobs.service import JobService
from core.persistence import Database
from core.persistence.migrate import upgrade
from core.settings import EngineSettings, Settings
from tests.chaos import logs
from tests.chaos.processes import MARK, Member, children_of, kill_marked, python, signal_all
from tests.chaos.scripts import POISON_ATTEMPTS, write_journals
from tests.chaos.servers import ChaosPostgres, ChaosRedis, MuteProxy
from tests.servers import free_port, postgres_binaries, wait_until
from tests.tiny import write_tiny

Backend = Literal["sqlite", "postgres"]

ENGINE = EngineSettings(
    lease_seconds=3.0,
    heartbeat_seconds=0.5,
    self_fence_seconds=2.0,
    desired_poll_seconds=0.1,
    reap_seconds=0.5,
    redispatch_seconds=1.0,
    retry_backoff_seconds=0.02,
    max_attempts=100,
    cancel_grace_seconds=2.0,
    stall_seconds=45.0,
    slots=3,
)
"""Clocks short enough to watch hundreds of leases run out. Only `stall_seconds` is long: a real training imports torch
before it shows that it moves, which takes its time on busy cores."""
WORKERS, APIS = 3, 2
READY_SECONDS = 120.0


class Fleet:
    """What one run harms. Everything is on loopback and below `folder`; `close` leaves nothing."""

    def __init__(
        self, backend: Backend, *, engine: EngineSettings = ENGINE, workers: int = WORKERS, apis: int = APIS
    ) -> None:
        self.backend = backend
        self.engine = engine
        self.token = uuid4().hex
        self.folder = Path(tempfile.mkdtemp(prefix="gblend-chaos-"))
        self.postgres: ChaosPostgres | None = None
        self.redis: ChaosRedis | None = None
        self.proxies: list[MuteProxy] = []
        self._closing = threading.Event()
        self._later: list[threading.Thread] = []
        self.lock = threading.RLock()
        """Held while members are started, stopped or looked at."""
        for name in ("diary", "died", "failpoints", "gates"):
            (self.folder / name).mkdir()
        write_journals(self.folder / "journals")
        write_tiny(self.folder)
        url, broker = self._start_servers()
        upgrade(url)
        self.database = Database(url)
        self.settings = Settings(
            state_dir=self.folder / "state", database={"url": url}, broker={"url": broker}, engine=engine
        )
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GBLEND_")},
            MARK: self.token,
            "CHAOS_DIR": str(self.folder),
            "GBLEND_STATE_DIR": str(self.folder / "state"),
            "GBLEND_ROOTS__DATA": str(self.folder),
            "GBLEND_LOG__LEVEL": "WARNING",
            "GBLEND_DATABASE__URL": url,
            **({} if broker is None else {"GBLEND_BROKER__URL": broker}),
            **{
                f"GBLEND_ENGINE__{name.upper()}": str(value)
                for name, value in engine.model_dump(exclude_none=True).items()
            },
        }
        self.queue = UnitQueue(self.settings)
        self.poison = JobService(self.database, max_attempts=POISON_ATTEMPTS, announce=self.queue.send)
        """Submits jobs that have few attempts."""
        self.workers = [self._worker(number) for number in range(workers)]
        self.apis = [self._api(number) for number in range(apis)]

    # Starting and ending

    def start(self) -> None:
        """Every member, ready for work."""
        for member in self.members:
            member.start()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Until every worker consumes its queue and every API process answers."""
        for worker in self.workers:
            wait_until(self.ready_file(worker).exists, f"{worker.name} to be ready", seconds=READY_SECONDS)
        for url in self.urls:
            wait_until(lambda url=url: _answers(url), "the API to be ready", seconds=READY_SECONDS)  # type: ignore[misc]

    @property
    def members(self) -> list[Member]:
        """Workers and API processes."""
        return [*self.workers, *self.apis]

    @property
    def urls(self) -> list[str]:
        """Of the API processes."""
        return [f"http://127.0.0.1:{member.environment['GBLEND_API__PORT']}" for member in self.apis]

    def ready_file(self, worker: Member) -> Path:
        """Exists once it consumes its queue."""
        return Path(worker.environment[READY_FILE_VARIABLE])

    def tend(self) -> None:
        """Start again whatever died."""
        with self.lock:
            for member in self.members:
                if not member.is_alive and not self._closing.is_set():
                    member.start()
                member.stale = [process for process in member.stale if process.poll() is None]

    def restart_workers(self) -> None:
        """All of them, in good order: they sweep when they start."""
        with self.lock:
            for worker in self.workers:
                self.ready_file(worker).unlink(missing_ok=True)
                if worker.send(signal.SIGTERM) and worker.process is not None:
                    worker.process.wait(60)
                worker.start()
        self.wait_until_ready()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do it after so long, and at the latest when the fleet closes."""

        def wait() -> None:
            self._closing.wait(seconds)
            with self.lock:
                action()

        thread = threading.Thread(target=wait, name="later", daemon=True)
        self._later.append(thread)
        thread.start()

    def settle(self) -> None:
        """Wait until everything that was put off for later is done."""
        for thread in self._later:
            thread.join(60)
        self._later.clear()

    def close(self) -> None:
        """End every process of the fleet, its servers and its folder."""
        self._closing.set()
        self.settle()
        with self.lock:
            signal_all([pid for member in self.members for pid in member.every_pid()], signal.SIGCONT)
            for member in self.members:
                member.send(signal.SIGTERM)
            deadline = time.monotonic() + 15.0
            while any(member.is_alive for member in self.members) and time.monotonic() < deadline:
                time.sleep(0.05)
            kill_marked(self.token)
            for member in self.members:
                for process in (member.process, *member.stale):
                    if process is not None:
                        process.wait(30)
        self.queue.close()
        self.database.close()
        for proxy in self.proxies:
            proxy.close()
        for server in (self.postgres, self.redis):
            if server is not None:
                server.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Who is there

    def worker_pids(self) -> set[int]:
        """Of workers that live, those among them that were replaced too."""
        with self.lock:
            return {pid for worker in self.workers for pid in worker.every_pid()}

    def children(self) -> list[int]:
        """The training processes."""
        return children_of(self.token)

    def any_worker(self, rng: random.Random) -> Member | None:
        """One that runs and is not stopped."""
        return _any([worker for worker in self.workers if worker.is_alive and not worker.suspended], rng)

    def any_api(self, rng: random.Random) -> Member | None:
        """One that runs and is not stopped."""
        return _any([api for api in self.apis if api.is_alive and not api.suspended], rng)

    def log(self) -> str:
        """What all members have written."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def errors(self) -> Counter[str]:
        """What members have logged as errors, and lines of tracebacks that went past their logs."""
        return logs.errors(self.log())

    def _start_servers(self) -> tuple[str, str | None]:
        if self.backend == "sqlite":
            return f"sqlite:///{self.folder / 'gblend.sqlite3'}", None
        binaries = postgres_binaries()
        if binaries is None or shutil.which("redis-server") is None:
            raise RuntimeError("PostgreSQL and Redis must be installed for this back-end")
        self.postgres, self.redis = ChaosPostgres(binaries), ChaosRedis()
        self.postgres.start()
        self.redis.start()
        self.proxies = [MuteProxy(self.postgres.port), MuteProxy(self.redis.port)]
        return self.postgres.create_database(), self.redis.url

    def _worker(self, number: int) -> Member:
        name = f"worker-{number}"
        environment = {**self._environment, READY_FILE_VARIABLE: str(self.folder / f"{name}.ready")}
        command = python(
            *("celery", "--quiet", "-A", "tests.chaos.worker_app", "worker", "-n", f"{name}@chaos"),
            *("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"),
        )
        return Member(name, command, self._routed(environment, number), self.folder / f"{name}.log")

    def _api(self, number: int) -> Member:
        environment = {**self._environment, "GBLEND_API__PORT": str(free_port())}
        return Member(
            f"api-{number}",
            python("api.cli", "api"),
            self._routed(environment, number),
            self.folder / f"api-{number}.log",
        )

    def _routed(self, environment: dict[str, str], number: int) -> dict[str, str]:
        """The first of each kind reaches its servers through the proxies."""
        if number or not self.proxies or self.postgres is None or self.redis is None:
            return environment
        ports = {self.postgres.port: self.proxies[0].port, self.redis.port: self.proxies[1].port}
        for name in ("GBLEND_DATABASE__URL", "GBLEND_BROKER__URL"):
            for port, proxy in ports.items():
                environment[name] = environment[name].replace(f"127.0.0.1:{port}/", f"127.0.0.1:{proxy}/")
        return environment


def _any(members: list[Member], rng: random.Random) -> Member | None:
    return rng.choice(members) if members else None


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5.0).status_code == 200
    except httpx.TransportError:
        return False
