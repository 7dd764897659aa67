"""The real API in this process, shared by the tests, with a worker's side that they move by hand."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from gblend_client import Gblend

from core.settings import Settings
from tests.e2e.api.live import LiveApi, serve, write_manifest

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
