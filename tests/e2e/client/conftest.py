"""The real API in this process, shared by the tests, with a worker's side that they move by hand."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gblend_client import Gblend
from gblend_client.cli import app
from typer.testing import CliRunner, Result

from core.settings import Settings
from tests.e2e.api.live import LiveApi, serve, write_manifest
from tests.tiny import write_tiny

ROOT = Path(__file__).parents[3]
SECONDS = 120.0

Run = Callable[..., Result]

QUICK_STREAMS = {"sse_retry_ms": 1, "sse_ping_seconds": 0.5}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GBLEND_URL", "GBLEND_API_KEY", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, _migrated_sqlite: Path) -> Iterator[LiveApi]:
    """A server."""
    state = tmp_path_factory.mktemp("api")
    write_manifest(state / "data")
    shutil.copyfile(_migrated_sqlite, state / "gblend.sqlite3")
    with serve(Settings(state_dir=state, api=QUICK_STREAMS)) as live:
        yield live


@pytest.fixture
def gblend(api: LiveApi) -> Iterator[Gblend]:
    """A client of it."""
    with Gblend(api.url, backoff=0.01) as client:
        yield client


@pytest.fixture
def run(api: LiveApi, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command."""
    monkeypatch.setenv("GBLEND_URL", api.url)
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[str]:
    """The whole service, as `gblend-server up` starts it; its address."""
    write_manifest(tmp_path / "state" / "data")
    write_tiny(tmp_path / "state" / "data")
    command = [sys.executable, "-m", "api.cli", "up", "--port", "0", "--workers", "1"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--state-dir", str(tmp_path / "state")],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("GBLEND_")},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("gblend: ready at"), (tmp_path / "log").read_text()
        yield line.split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)
        process.stdout.close()
