"""Browsers as people have them: many tabs, and storage that is forbidden."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from benchmarks import story
from tests.browser.new_job import at
from tests.browser.person import Person
from tests.e2e.api.live import LiveApi


def test_more_tabs_than_connections(api: LiveApi, person: Person) -> None:
    """Over HTTP/1.1 a browser has six connections to a service, and a stream holds one."""
    job_id = api.submit(name="looked at by many")["id"]
    pages = [person.page, *(person.open() for _ in range(6))]
    for page in pages[:-1]:
        page.goto(f"{api.url}/jobs/{job_id}")
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        _put_behind(page, True)
    pages[-1].goto(f"{api.url}/jobs/{job_id}")
    expect(pages[-1].get_by_text("live", exact=True)).to_be_visible()
    api.units.record(api.claim(job_id), list(story.entries(2)))
    _put_behind(pages[0], False)
    expect(pages[0].get_by_role("img", name="over 2 super-epochs").first).to_be_visible()
    expect(pages[0].get_by_text("live", exact=True)).to_be_visible()


def test_a_browser_that_may_store_nothing(api: LiveApi, person: Person) -> None:
    person.context.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage'])"
        " Object.defineProperty(window, name, { get() { throw new DOMException('no', 'SecurityError'); } });"
    )
    page = person.open()
    page.goto(api.url)
    page.get_by_role("button", name="Change to the dark theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("link", name="New job").first.click()
    at(page, "name").fill("kept while the page is")
    page.get_by_role("link", name="Jobs", exact=True).click()
    page.get_by_role("link", name="New job").first.click()
    expect(at(page, "name")).to_have_value("kept while the page is")


def _put_behind(page: Page, behind: bool) -> None:
    """What a browser does to a tab behind another one; without windows all tabs are in front."""
    page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        behind,
    )
