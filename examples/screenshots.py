"""Pictures of every page of the dashboard, for docs/dashboard.md: a real service, real jobs, a real Chromium.

    make screenshots        # or: python -m examples.screenshots

Two minutes on two cores. It starts a service of its own, registers the digits, trains four strategies with two seeds
each, and takes the pictures while and after they train; Chromium is looked for on the PATH (`GBLEND_CHROMIUM` names
another).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

from gblend_client import Gblend
from gblend_client.specfile import load
from playwright.sync_api import Browser, Page, sync_playwright

from examples._interrupts import Interrupts
from examples._service import ROOT, own_service

FOLDER = ROOT / "docs" / "screenshots"
STRATEGIES = ["naive", "equal", "offline", "online"]
WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


def main() -> int:
    """Take them all; the exit status."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    spec = load(ROOT / "examples" / "digits.yaml")
    with own_service(ROOT / "examples", Interrupts()) as url, Gblend(url) as gblend, sync_playwright() as playwright:
        found = os.environ.get("GBLEND_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        try:
            _take_all(url, gblend, browser, spec)
        finally:
            browser.close()
    return 0


def _take_all(url: str, gblend: Gblend, browser: Browser, spec: dict[str, Any]) -> None:
    registered = gblend.datasets.register(spec)
    body = {"name": "four ways to train on digits", "job": spec, "strategies": STRATEGIES, "seeds": [0, 1]}
    experiment = gblend.experiments.submit(body)
    online = next(job.job_id for job in experiment.jobs if job.strategy == "online")
    take = _taker(browser, url)
    gblend.jobs.wait(online)
    take("jobs", "/", lambda page: page.get_by_text("succeeded").first.wait_for())
    take("workers", "/workers", lambda page: page.get_by_text("alive", exact=True).first.wait_for())
    gblend.experiments.wait(experiment.id)
    for name, theme, size in (("job", "light", WIDE), ("job-dark", "dark", WIDE), ("job-phone", "dark", PHONE)):
        take(
            name,
            f"/jobs/{online}",
            lambda page: page.get_by_role("region", name="Test metrics").wait_for(),
            theme,
            size,
        )
    take(
        "experiment", f"/experiments/{experiment.id}", lambda page: page.get_by_role("region", name="Heads").wait_for()
    )
    jobs = ",".join(job.job_id for job in experiment.jobs if job.strategy in ("naive", "online"))
    take("compare", f"/compare?jobs={jobs}", _region("Compared jobs"))
    take("datasets", "/datasets", lambda page: page.get_by_role("link", name="digits").first.wait_for())
    take("dataset", f"/datasets/{registered.id}", _scroll_through)
    take("new", "/new", lambda page: page.get_by_role("heading", level=1).wait_for())
    take("models", "/models", lambda page: page.get_by_role("row").nth(1).wait_for())
    take("model", f"/models/{online}", lambda page: page.get_by_role("heading", level=1).wait_for())


def _taker(browser: Browser, url: str) -> Callable[..., None]:
    def take(
        name: str, path: str, ready: Callable[[Page], object], theme: str = "light", size: dict[str, int] = WIDE
    ) -> None:
        context = browser.new_context(
            viewport={"width": size["width"], "height": size["height"]},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.goto(url + path)
        ready(page)
        page.wait_for_load_state("networkidle")
        target = FOLDER / f"{name}.png"
        page.screenshot(path=target, full_page=True)
        print(f"{target.relative_to(ROOT)}: {target.stat().st_size // 1000} kB", flush=True)
        context.close()

    return take


def _region(name: str) -> Callable[[Page], object]:
    return lambda page: page.get_by_role("region", name=name, exact=True).wait_for()


def _scroll_through(page: Page) -> None:
    """Pictures load when they come into view."""
    page.get_by_role("region", name="Samples").wait_for()
    for step in range(8):
        page.mouse.wheel(0, 500)
        page.wait_for_timeout(300 if step else 1500)
    page.evaluate("scrollTo(0, 0)")


if __name__ == "__main__":
    sys.exit(main())
