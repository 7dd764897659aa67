"""What tests of the form of a new job do with it."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.e2e.api.live import LiveApi


def at(page: Page, path: str) -> Locator:
    """The field of a path through the spec."""
    return page.locator(f'[id="spec/{path}"]')


def shown(page: Page) -> Any:
    """The body that would be submitted."""
    return json.loads(page.get_by_label("The body of the request").inner_text())


def fill_toy(page: Page) -> None:
    """The whole job of `toy_spec`, by hand."""
    at(page, "name").fill("by hand")
    at(page, "dataset/source/uri").fill("data://toy/manifest.csv")
    at(page, "dataset/target/column").fill("label")
    for index, (name, columns) in enumerate(
        [("size", [("height", "number")]), ("look", [("colour", "category"), ("weight", "number")])]
    ):
        page.get_by_label("Type", exact=True).last.select_option("tabular")
        page.get_by_role("button", name="Add modality").click()
        modality = f"dataset/modalities/{index}"
        at(page, f"{modality}/name").fill(name)
        for place, (column, kind) in enumerate(columns):
            at(page, f"{modality}/columns").click()
            at(page, f"{modality}/columns/{place}/name").fill(column)
            at(page, f"{modality}/columns/{place}/type").select_option(kind)


def begin(page: Page, api: LiveApi, spec: dict[str, Any]) -> None:
    """The form with a spec in it, as the JSON view takes it."""
    page.goto(f"{api.url}/new")
    page.get_by_role("button", name="Edit as JSON").click()
    page.get_by_label("Job spec as JSON").fill(json.dumps(spec))
    page.get_by_role("button", name="Edit as JSON").click()


def open_all(page: Page) -> None:
    """Every "More options", also those within others."""
    closed = page.locator("details.more:not([open]) > summary")
    while closed.count():
        closed.first.click()


def suggested(page: Page, path: str) -> list[str]:
    """What a field offers while somebody types."""
    found: list[str] = page.locator(f'[id="spec/{path}?known"] option').evaluate_all(
        "(all) => all.map((one) => one.value)"
    )
    return found


def copied(page: Page, what: str) -> str:
    """What a button puts on the clipboard."""
    place = ("curl", "Python", "CLI", "JSON").index(what)
    button = page.get_by_role("group", name="Copy as").get_by_role("button").nth(place)
    button.click()
    expect(button).to_have_text("Copied")
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def jobs(api: LiveApi) -> list[dict[str, Any]]:
    """Every job, newest first."""
    found: list[dict[str, Any]] = api.client.get("/v1/jobs").json()["data"]
    return found
