"""A real Chromium, headless, and a server for it. Where there is none, the tests are skipped, loudly.

`GBLEND_CHROMIUM` names a browser; else it is looked for on the PATH, then where `playwright install` puts its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from core.settings import Settings
from tests.browser.person import Person
from tests.conftest import skip_without
from tests.e2e.api.live import LiveApi, serve, write_manifest

_NAMES = ("chromium", "chromium-browser", "google-chrome")


# Not for the session: while playwright runs, its event loop counts as the thread's, and no other test could have one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        found = os.environ.get("GBLEND_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
        path = found or playwright.chromium.executable_path
        if not Path(path).exists():
            skip_without("Chromium")
        # It refuses to run in its sandbox as root, as in a container of CI.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def person(browser: Browser) -> Iterator[Person]:
    """Somebody with a browser. Fails the test where a page threw, or its policy forbade something."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(15_000)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    person = Person(context)
    yield person
    context.close()
    assert person.complaints == []


@pytest.fixture
def page(person: Person) -> Page:
    """A page of somebody with a browser."""
    return person.page


@pytest.fixture
def start(tmp_path: Path, _migrated_sqlite: Path) -> Callable[..., AbstractContextManager[LiveApi]]:
    """Starts a server of this test's own; arguments are areas of settings. Started again, it has the same state."""

    def served(port: int = 0, **areas: Any) -> AbstractContextManager[LiveApi]:
        state = tmp_path / "state"
        if not state.exists():
            write_manifest(state / "data")
            shutil.copyfile(_migrated_sqlite, state / "gblend.sqlite3")
        return serve(Settings(state_dir=state, **areas), port)

    return served


@pytest.fixture
def api(start: Callable[..., AbstractContextManager[LiveApi]]) -> Iterator[LiveApi]:
    """A server of this test's own."""
    with start() as live:
        yield live
