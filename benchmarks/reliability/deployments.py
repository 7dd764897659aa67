"""The two ways to run the service, each in a folder and on ports of its own; and jobs that train for long enough."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.whole.service import WholeService
from tests.servers import PostgresServer, RedisServer, postgres_binaries, wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
SQLITE, POSTGRESQL = "SQLite, files", "PostgreSQL, Redis"
_LONG = 10_000
"""Epochs of a training that is never left to end by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A database and a broker: what the table calls them, and the settings that lead to them."""

    name: str
    environment: dict[str, str]
    database_url: str
    """An empty database that no service uses, for measurements without one."""


def missing() -> str | None:
    """Why the servers of `POSTGRESQL` cannot be started here; `None` where they can."""
    absent = [
        name
        for name, found in (("PostgreSQL", postgres_binaries()), ("redis-server", shutil.which("redis-server")))
        if found is None
    ]
    return f"{' and '.join(absent)} not installed" if absent else None


@contextmanager
def backend(name: str) -> Iterator[Backend]:
    """Servers for one deployment, gone when the block ends."""
    with ExitStack() as stack:
        if name == SQLITE:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gblend-figures-"))
            yield Backend(name=name, environment={}, database_url=f"sqlite:///{folder}/other.sqlite3")
            return
        binaries = postgres_binaries()
        if binaries is None:
            raise RuntimeError("PostgreSQL is not installed here")
        postgres = PostgresServer(binaries, fsync=True)
        stack.callback(postgres.close)
        postgres.start()
        redis = RedisServer()
        stack.callback(redis.close)
        redis.start()
        environment = {"GBLEND_DATABASE__URL": postgres.create_database(), "GBLEND_BROKER__URL": redis.url}
        yield Backend(name=name, environment=environment, database_url=postgres.create_database())


@contextmanager
def deployment(on: Backend) -> Iterator[WholeService]:
    """A service of which nothing runs yet, at default settings; `examples/` is its `data://`."""
    with tempfile.TemporaryDirectory(prefix="gblend-figures-") as folder:
        defaults = {"GBLEND_ROOTS__DATA": str(EXAMPLES), "GBLEND_ENGINE__SLOTS": "0"}
        service = WholeService(Path(folder), environment={**on.environment, **defaults}, engine={})
        try:
            yield service
        finally:
            service.close()


def start_all(service: WholeService, on: Backend) -> None:
    """API and a worker, ready: as `gblend-server up` where everything is embedded, else as processes of their own."""
    if on.name == SQLITE:
        service.start_api("up")
        return
    start_api(service)
    service.start("worker")
    wait_for_workers(service, 1)


def start_api(service: WholeService) -> None:
    """The HTTP side alone, over a database that is migrated."""
    if service.start("migrate").wait(60) != 0:
        raise RuntimeError(f"gblend-server migrate failed: {service.log()[-2000:]}")
    service.start_api()


def wait_for_workers(service: WholeService, count: int) -> None:
    """Until so many workers have entered the registry."""
    wait_until(
        lambda: sum(worker["state"] == "alive" for worker in service.every("/v1/workers")) >= count,
        f"{count} workers",
        seconds=60,
    )


def long_job(seed: int) -> dict[str, Any]:
    """The demo's job, on its real data, with more epochs than it will ever reach: a few events per second."""
    spec: dict[str, Any] = yaml.safe_load((EXAMPLES / "digits.yaml").read_text())
    spec["training"]["epochs"] = _LONG
    return spec | {"name": f"figures {seed}", "seed": seed}
