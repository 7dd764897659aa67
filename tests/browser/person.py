"""Somebody who looks at the dashboard: a browser's context, what went wrong in it, and axe."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page

_SERIOUS = ("serious", "critical")


class Person:
    """A browser context of its own: nothing stored, nothing cached."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.complaints: list[str] = []
        """What pages threw, and what the Content-Security-Policy forbade."""
        self.page = self.open()

    def open(self) -> Page:
        """A new page (tab)."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(f"threw: {error}"))
        page.on("console", self._hear)
        return page

    def _hear(self, message: ConsoleMessage) -> None:
        # What cannot be loaded is reported too: tests stop servers, and ask for what is not there.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.complaints.append(f"console: {message.text}")

    def findings(self, page: Page | None = None) -> list[dict[str, Any]]:
        """What axe has to say about a page, of what is serious: rule, and the first element that breaks it."""
        found = Axe().run(page or self.page).response["violations"]
        return [
            {"rule": rule["id"], "impact": rule["impact"], "at": [node["html"][:200] for node in rule["nodes"]][:3]}
            for rule in found
            if rule["impact"] in _SERIOUS
        ]

    def is_wider_than_the_window(self) -> bool:
        """Whether the page scrolls sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))
