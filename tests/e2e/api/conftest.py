"""One shared API for tests that leave each other alone, and a factory for those that do not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from tests.e2e.api.live import LiveApi, serve, write_manifest

MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="session")
def shared_api(tmp_path_factory: pytest.TempPathFactory, _migrated_sqlite: Path) -> Iterator[LiveApi]:
    """A server with the default settings."""
    with serve(_settings(tmp_path_factory.mktemp("api"), _migrated_sqlite)) as live:
        yield live


@pytest.fixture
def api(shared_api: LiveApi) -> LiveApi:
    """The shared server."""
    return shared_api


@pytest.fixture
def make_settings(tmp_path: Path, _migrated_sqlite: Path) -> MakeSettings:
    """Settings of this test's own, with a migrated database; arguments are areas."""

    def make(**areas: Any) -> Settings:
        return _settings(tmp_path / "state", _migrated_sqlite, **areas)

    return make


@pytest.fixture
def start(make_settings: MakeSettings) -> Callable[..., AbstractContextManager[LiveApi]]:
    """Starts a server of this test's own; arguments are areas of settings."""
    return lambda **areas: serve(make_settings(**areas))


def _settings(state: Path, migrated: Path, **areas: Any) -> Settings:
    write_manifest(state / "data")
    shutil.copyfile(migrated, state / "gblend.sqlite3")
    return Settings(state_dir=state, **areas)
