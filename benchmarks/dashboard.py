"""How the dashboard bears a long job: 2,000 super-epochs, 10,000 epochs, 100,000 events, in a real Chromium.

    python -m benchmarks dashboard

It makes the history (`benchmarks.story`; a minute), serves it, opens the job's page several times, then adds points
while somebody looks. First paint and the drawn charts (weights, and the loss of every head) are told by the browser's
own clock; what a point costs is the time that the page's main thread was busy (DevTools' `TaskDuration`) for each event
that arrived. Ratios within one run: the same page with a job of 20 super-epochs.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from api.main import create_app
from api.server import address_of, build, listen
from benchmarks import story
from core.events import JournalEntry
from core.jobs.lease import Lease
from core.jobs.units import UnitService
from core.persistence import Database
from core.persistence.migrate import upgrade
from core.persistence.repositories import UnitRepository
from core.settings import Settings

JOBS = ((20, 2), (2000, 42))
"""Super-epochs, and epochs of each estimate."""
_EPOCHS = 5
"""Of each super-epoch."""
_POINTS = 60
"""Events that are added while somebody looks."""
_BATCH = 500
_OPENINGS = 5
_MANIFEST = "id,a,b,label\n" + "".join(f"{n},{n}.5,{n % 7},{'yes' if n % 2 else 'no'}\n" for n in range(40))
_FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


class Service:
    """A served API, and the worker's side of its database."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.url = url
        self.client = httpx.Client(base_url=url, timeout=60)
        self.database = Database(settings.database_url)
        self.units = UnitService(self.database, settings.engine)

    def job(self, name: str) -> tuple[str, Lease]:
        """A job that runs, as far as anybody can see."""
        body = {
            "name": name,
            "dataset": {
                "source": {"type": "manifest", "uri": "data://table.csv"},
                "target": {"column": "label"},
                "modalities": [
                    {"type": "tabular", "name": column, "columns": [{"name": column, "type": "number"}]}
                    for column in ("a", "b")
                ],
            },
        }
        job_id: str = self.client.post("/v1/jobs", json=body).raise_for_status().json()["id"]
        with self.database.read() as session:
            unit = UnitRepository(session).of_job(job_id)[0].id
        lease = self.units.claim(unit, "benchmark")
        if lease is None:
            raise RuntimeError("the job cannot be claimed")
        return job_id, lease

    def close(self) -> None:
        """End what this side holds."""
        self.client.close()
        self.database.close()


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """A service in this process, on a free port."""
    (folder / "data").mkdir()
    (folder / "data" / "table.csv").write_text(_MANIFEST)
    # The job's lease must outlive the making of its history: nobody renews it.
    settings = Settings.model_validate(
        {"state_dir": folder, "engine": {"lease_seconds": 86_400, "self_fence_seconds": 80_000}}
    )
    upgrade(settings.database_url)
    server = build(create_app(settings))
    listening = listen("127.0.0.1", 0, drop_after_seconds=settings.api.sse_send_timeout_seconds)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    service = Service(settings, address_of(listening))
    try:
        yield service
    finally:
        service.close()
        server.should_exit = True
        thread.join(20)


def record(service: Service, lease: Lease, entries: Iterator[JournalEntry]) -> int:
    """Record entries in transactions of some hundreds; how many there were."""
    count = 0
    for batch in _batched(entries):
        service.units.record(lease, batch)
        count += len(batch)
    return count


def _batched(entries: Iterator[JournalEntry]) -> Iterator[list[JournalEntry]]:
    while batch := list(itertools.islice(entries, _BATCH)):
        yield batch


def opened(browser: Browser, service: Service, job_id: str, super_epochs: int) -> tuple[float, float]:
    """First paint and drawn charts: medians over openings with an empty cache, in milliseconds."""
    paints, complete = [], []
    for _ in range(_OPENINGS):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.goto(f"{service.url}/jobs/{job_id}")
        _wait_for(page, super_epochs)
        complete.append(page.evaluate("performance.now()"))
        paints.append(page.evaluate(_FIRST_PAINT))
        context.close()
    return median(paints), median(complete)


def added(browser: Browser, service: Service, job: tuple[str, Lease], more: list[JournalEntry], before: int) -> float:
    """Milliseconds of the page's main thread for each event, added one by one while the page is looked at."""
    job_id, lease = job
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{service.url}/jobs/{job_id}")
    _wait_for(page, before)
    page.wait_for_timeout(3000)
    devtools = context.new_cdp_session(page)
    devtools.send("Performance.enable")
    idle = _busy(devtools)
    page.wait_for_timeout(3000)
    idle = (_busy(devtools) - idle) / 3
    began, busy = time.monotonic(), _busy(devtools)
    for entry in more:
        service.units.record(lease, [entry])
        page.wait_for_timeout(40)
    page.wait_for_timeout(500)
    spent = _busy(devtools) - busy - idle * (time.monotonic() - began)
    context.close()
    return 1000 * spent / len(more)


def _busy(devtools: CDPSession) -> float:
    metrics: list[dict[str, Any]] = devtools.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


def _wait_for(page: Page, super_epochs: int) -> None:
    for head in story.HEADS:
        page.locator(f'[role=img][aria-label^="Loss of {head}"]').wait_for()
    page.locator(f'[role=img][aria-label^="Weights of"][aria-label*="over {super_epochs} super-epochs"]').wait_for()


def main() -> None:
    """Measures, and prints a table."""
    found = os.environ.get("GBLEND_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    print("| super-epochs | events | first paint, ms | charts drawn, ms | main thread for an added event, ms |")
    print("|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as service, sync_playwright() as playwright:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=found, args=flags)
        for super_epochs, estimate_epochs in JOBS:
            job_id, lease = job = service.job(f"of {super_epochs} super-epochs")
            told = story.entries(super_epochs + _POINTS, epochs_each=_EPOCHS, estimate_epochs=estimate_epochs)
            count = record(service, lease, itertools.islice(told, 1 + super_epochs * (3 + _EPOCHS + estimate_epochs)))
            history = service.client.get(f"/v1/jobs/{job_id}/super-epochs?max_points=500").json()["data"]
            shown = min(len(history), super_epochs)
            paint, complete = opened(browser, service, job_id, shown)
            cost = added(browser, service, job, list(itertools.islice(told, _POINTS)), shown)
            print(f"| {super_epochs:,} | {count:,} | {paint:.0f} | {complete:.0f} | {cost:.1f} |", flush=True)
        browser.close()
    print()
