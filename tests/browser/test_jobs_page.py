"""The list of jobs, and the frame around every page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.events import Progress
from tests.browser.person import Person
from tests.e2e.api.live import LiveApi

ATTACK = "<img src=x onerror=\"document.title='broken in'\">"


def test_jobs_come_and_move_by_themselves(api: LiveApi, page: Page, tmp_path: Path) -> None:
    page.goto(api.url)
    expect(page.get_by_text("There is no job yet")).to_be_visible()
    job_id = api.submit(name="moving")["id"]
    row = page.get_by_role("row", name="moving")
    expect(row).to_contain_text("queued")
    expect(row).to_contain_text("next in queue default")
    expect(row).to_contain_text("size + look")
    lease = api.train(job_id)
    expect(row).to_contain_text("running")
    api.finish(lease, tmp_path)
    expect(row).to_contain_text("succeeded")
    expect(row).to_contain_text("0.500")


def test_what_is_done_before_the_training_is_told(api: LiveApi, page: Page) -> None:
    lease = api.claim(api.submit(name="encoded")["id"])
    told = "features of 'rgb': 1,200 of 5,000"
    nothing = {"super_epoch": None, "epoch": 0, "epochs": 20, "step": 0, "steps": 0, "eta_seconds": None}
    progress = Progress(phase="encoding", percent=0.0, detail=told, updated_at=1.0, **nothing)
    api.units.heartbeat(lease, progress)
    page.goto(api.url)
    expect(page.get_by_role("row", name="encoded")).to_contain_text(told)


def test_filters_are_in_the_address(api: LiveApi, page: Page) -> None:
    for name in ("first", "second"):
        api.submit(name=name, metadata={"team": f"of the {name}"})
    api.client.post(f"/v1/jobs/{api.submit(name='third')['id']}/cancel")
    page.goto(api.url)
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_label("State").select_option("cancelled")
    expect(rows).to_have_count(1)
    assert page.url.endswith("/?status=cancelled")
    page.get_by_label("State").select_option("all")
    page.get_by_label("Find").fill("OF THE SEC")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("second")
    page.reload()
    expect(rows).to_have_count(1)


def test_older_jobs_are_a_click_away(api: LiveApi, page: Page) -> None:
    for number in range(53):
        api.submit(name=f"job {number}")
    page.goto(api.url)
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Older jobs").click()
    expect(rows).to_have_count(53)
    expect(rows.last).to_contain_text("job 0")
    expect(page.get_by_role("button", name="Older jobs")).to_have_count(0)


def test_what_a_user_wrote_is_text(api: LiveApi, page: Page) -> None:
    api.submit(name=ATTACK)
    page.goto(api.url)
    expect(page.get_by_role("link", name=ATTACK)).to_be_visible()
    expect(page).to_have_title("Jobs · gblend")


def test_an_answer_that_is_missing_is_told_and_comes_by_itself(api: LiveApi, page: Page) -> None:
    api.submit(name="still here")
    page.goto(api.url)
    expect(page.get_by_role("row", name="still here")).to_be_visible()
    page.context.set_offline(True)
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached")
    expect(page.get_by_role("row", name="still here")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_theme_is_the_systems_until_somebody_chooses(api: LiveApi, person: Person) -> None:
    page = person.page
    page.emulate_media(color_scheme="dark")
    page.goto(api.url)
    html = page.locator("html")
    expect(html).to_have_attribute("data-theme", "dark")
    page.emulate_media(color_scheme="light")
    expect(html).to_have_attribute("data-theme", "light")
    page.get_by_role("button", name="Change to the dark theme").click()
    expect(html).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(html).to_have_attribute("data-theme", "dark")


def test_keys_alone_lead_anywhere(api: LiveApi, page: Page) -> None:
    page.goto(api.url)
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.get_by_role("link", name="Workers").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Workers")).to_be_visible()
    expect(page.locator("main")).to_be_focused()
    page.go_back()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/workers"])
def test_axe_finds_nothing_serious(api: LiveApi, person: Person, theme: str, path: str) -> None:
    api.train(api.submit(name="under way")["id"])
    person.page.emulate_media(color_scheme="light" if theme == "light" else "dark")
    person.page.goto(api.url + path)
    expect(person.page.get_by_role("heading", level=1)).to_be_visible()
    expect(person.page.locator(".loading")).to_have_count(0)
    assert person.findings() == []


@pytest.mark.parametrize("path", ["/", "/workers"])
def test_a_phone_is_wide_enough(api: LiveApi, person: Person, path: str) -> None:
    api.submit(name="a-name-without-any-blank-that-is-longer-than-a-phone-is-wide-" * 2)
    person.page.set_viewport_size({"width": 390, "height": 800})
    person.page.goto(api.url + path)
    expect(person.page.locator(".loading")).to_have_count(0)
    assert not person.is_wider_than_the_window()


def test_an_unknown_page_says_so(api: LiveApi, page: Page) -> None:
    response = page.goto(f"{api.url}/nothing/here")
    assert response is not None
    assert response.status == 404
    page.goto(api.url)
    page.evaluate("history.pushState(null, '', '/jobs/x/y'); dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    expect(page).to_have_title(re.compile("^Not found"))
