"""Experiments and overlays: what the API compares, as somebody sees it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from benchmarks import story
from tests.browser.person import Person
from tests.e2e.api.live import LiveApi, toy_spec

ATTACK = "<img src=x onerror=\"document.title='broken in'\">"


def _experiment(api: LiveApi, *, name: str = "two ways", strategies: list[Any] | None = None) -> dict[str, Any]:
    body = {"name": name, "job": toy_spec(), "strategies": strategies or ["naive", "online"], "seeds": [0, 1]}
    response = api.client.post("/v1/experiments", json=body)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def test_an_experiment_fills_as_its_jobs_end(api: LiveApi, page: Page, tmp_path: Path) -> None:
    made = _experiment(api)
    page.goto(f"{api.url}/compare")
    expect(page.get_by_role("row", name="two ways")).to_contain_text("0 of 4 jobs done")
    page.get_by_role("link", name="two ways").click()
    jobs = page.get_by_role("region", name="Jobs", exact=True)
    expect(jobs.get_by_role("link", name="naive, seed 0: queued")).to_be_visible()
    expect(page.get_by_role("region", name="Cost against score")).to_contain_text("No job is done yet")
    first, second = (job["job_id"] for job in made["jobs"][:2])
    for job_id in (first, second):
        api.finish(api.train(job_id), tmp_path)
    expect(jobs.get_by_role("link", name="naive, seed 0: succeeded")).to_be_visible()
    comparison = page.get_by_role("region", name="Comparison")
    row = comparison.locator("tbody tr", has_text="naive")
    expect(row).to_contain_text("1 of 2")
    expect(row).to_contain_text("0.500")
    expect(page.get_by_role("img", name="naive: 0.500; online: 0.500")).to_be_visible()
    for job in made["jobs"][2:]:
        api.finish(api.train(job["job_id"]), tmp_path)
    expect(page.get_by_text("succeeded", exact=True).first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the comparison as CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    told = api.client.get(f"/v1/experiments/{made['id']}/comparison").json()
    means = {row["strategy"]: row["test"]["mean"] for row in told["strategies"]}
    assert {row["strategy"]: float(row["mean"]) for row in rows} == means


def test_differences_are_to_whom_one_chooses(api: LiveApi, page: Page) -> None:
    made = _experiment(api)
    page.goto(f"{api.url}/experiments/{made['id']}")
    expect(page.get_by_role("columnheader", name="minus naive")).to_be_visible()
    page.get_by_label("Differences to").select_option("online")
    expect(page.get_by_role("columnheader", name="minus online")).to_be_visible()
    assert page.url.endswith("?reference=online")


def test_an_experiment_is_cancelled_and_deleted(api: LiveApi, page: Page) -> None:
    made = _experiment(api)
    page.goto(f"{api.url}/experiments/{made['id']}")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.get_by_text("cancelled", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("heading", name="Compare", exact=True)).to_be_visible()
    assert api.client.get(f"/v1/experiments/{made['id']}").status_code == 404


def test_jobs_lie_over_each_other(api: LiveApi, page: Page) -> None:
    ids = []
    for name, super_epochs in (("short", 2), ("long", 5)):
        job_id = api.submit(name=name)["id"]
        api.units.record(api.claim(job_id), list(story.entries(super_epochs)))
        ids.append(job_id)
    page.goto(f"{api.url}/compare")
    for name in ("short", "long"):
        page.get_by_role("checkbox", name=name).check()
    expect(page.get_by_role("img", name="accuracy of fused in 2 jobs")).to_be_visible()
    assert set(page.url.rsplit("=", 1)[1].split("%2C")) == set(ids)
    weights = page.get_by_role("region", name="Weight of audio")
    weights.get_by_text("Numbers", exact=True).click()
    expect(weights.locator("tbody tr")).to_have_count(7)
    page.get_by_label("Metric").select_option("loss")
    page.get_by_label("Head").first.select_option("image")
    curves = page.get_by_role("region", name="loss of image")
    expect(curves).to_be_visible()
    with page.expect_download() as download:
        curves.get_by_role("button", name="as CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    told = api.client.get(f"/v1/jobs/{ids[1]}/metrics?scope=epoch&head=image&metric=loss&split=validation").json()[
        "data"
    ]
    assert [float(row["value"]) for row in rows if row["job"] == ids[1]] == [point["value"] for point in told]
    page.reload()
    expect(page.get_by_role("checkbox", name="long")).to_be_checked()


def test_what_a_user_wrote_is_text(api: LiveApi, page: Page, tmp_path: Path) -> None:
    strategies = ["naive", {"name": ATTACK, "changes": {"blending": {"strategy": "equal"}}}]
    made = _experiment(api, name=ATTACK, strategies=strategies)
    for job in made["jobs"]:
        api.finish(api.train(job["job_id"]), tmp_path)
    page.goto(f"{api.url}/experiments/{made['id']}")
    expect(page.get_by_role("heading", name=ATTACK, exact=True)).to_be_visible()
    expect(page.get_by_role("rowheader", name=ATTACK).first).to_be_visible()
    page.get_by_role("link", name="Overlay its jobs").click()
    expect(page.get_by_role("region", name="Compared jobs")).to_contain_text(ATTACK)
    assert page.locator("img[src=x]").count() == 0
    assert page.title() != "broken in"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(api: LiveApi, person: Person, theme: str, tmp_path: Path) -> None:
    made = _experiment(api)
    for job in made["jobs"]:
        api.finish(api.train(job["job_id"]), tmp_path)
    page = person.page
    page.emulate_media(color_scheme="light" if theme == "light" else "dark")
    page.goto(f"{api.url}/experiments/{made['id']}")
    expect(page.get_by_role("region", name="Heads")).to_be_visible()
    assert person.findings() == []
    page.get_by_role("link", name="Overlay its jobs").click()
    expect(page.get_by_role("region", name="Compared jobs")).to_be_visible()
    assert person.findings() == []


def test_a_phone_is_wide_enough(api: LiveApi, person: Person, tmp_path: Path) -> None:
    made = _experiment(api, name="a-name-without-any-blank-that-is-longer-than-a-phone-is-wide-" * 2)
    api.finish(api.train(made["jobs"][0]["job_id"]), tmp_path)
    person.page.set_viewport_size({"width": 390, "height": 800})
    for path in (f"/experiments/{made['id']}", f"/compare?jobs={made['jobs'][0]['job_id']}"):
        person.page.goto(api.url + path)
        expect(person.page.get_by_role("table").first).to_be_visible()
        expect(person.page.locator(".loading")).to_have_count(0)
        assert not person.is_wider_than_the_window(), path
