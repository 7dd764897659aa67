"""What training left: the list of models, and one of them. `test_whole_service.py` has one that was really trained."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.person import Person
from tests.e2e.api.live import LiveApi
from tests.integration.engine.samples import MODEL

ATTACK = "<img src=x onerror=\"document.title='broken in'\">"


def test_models_are_jobs_that_succeeded(api: LiveApi, page: Page, tmp_path: Path) -> None:
    page.goto(f"{api.url}/models")
    expect(page.get_by_text("No job has succeeded yet.")).to_be_visible()
    api.submit(name="waits")
    api.finish(api.train(api.submit(name="first", blending={"strategy": "naive"})["id"]), tmp_path)
    api.finish(api.train(api.submit(name="second", metadata={"team": "speech"})["id"]), tmp_path)
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(2, timeout=10_000)
    expect(rows.first).to_contain_text("second")
    expect(rows.last).to_contain_text("naive")
    expect(rows.last).to_contain_text("0.500")
    expect(rows.last).to_contain_text("size + look")
    expect(rows.last).to_contain_text("18 B")
    page.get_by_label("Find").fill("SPEECH")
    expect(rows).to_have_count(1)
    page.get_by_label("Find").fill("nothing like it")
    expect(page.get_by_text("No model is like that.")).to_be_visible()


def test_only_models_of_the_same_data(api: LiveApi, page: Page, tmp_path: Path) -> None:
    api.finished(tmp_path)
    page.goto(f"{api.url}/models")
    button = page.get_by_role("button", name="Only models of the data sha256:0000000000…")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.goto(f"{api.url}/models?data=sha256:{'1' * 64}")
    expect(page.get_by_text("No model is like that.")).to_be_visible()
    page.get_by_role("button", name="All data").click()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_model_and_its_files(api: LiveApi, page: Page, tmp_path: Path) -> None:
    job_id = api.finished(tmp_path)
    page.goto(f"{api.url}/models")
    page.get_by_role("link", name="toy").click()
    expect(page.get_by_role("heading", name="toy")).to_be_visible()
    answer = page.get_by_role("region", name="The answer and why")
    expect(answer).to_contain_text("The model answers with fused: the fused head as blending left it.")
    expect(answer).to_contain_text("asked for")
    expect(page.get_by_role("region", name="Test metrics")).to_contain_text("0.750 ± 0.010")
    expect(page.get_by_text("The training left no model card.")).to_be_visible()
    row = page.get_by_role("row", name="model.bin")
    expect(row).to_contain_text(hashlib.sha256(MODEL).hexdigest())
    with page.expect_download() as download:
        row.get_by_role("link").click()
    assert download.value.path().read_bytes() == MODEL
    use = page.get_by_role("region", name="Use it")
    expect(use).to_contain_text(f"gblend download {job_id} --dest model --url '{api.url}'")
    use.get_by_role("tab", name="curl").click()
    expect(use).to_contain_text(f"'{api.url}/v1/jobs/{job_id}/artifacts/model.bin'")
    page.get_by_role("link", name="How it was trained").click()
    expect(page.get_by_role("link", name="Model", exact=True)).to_have_attribute("href", f"/models/{job_id}")


def test_a_job_without_a_model(api: LiveApi, page: Page) -> None:
    job_id = api.submit(name=ATTACK)["id"]
    page.goto(f"{api.url}/models/{job_id}")
    expect(page.get_by_text("There is no model: the job is queued.")).to_be_visible()
    expect(page.get_by_role("heading", name=ATTACK)).to_be_visible()
    page.goto(f"{api.url}/models/job_{'0' * 26}")
    expect(page.get_by_role("alert")).to_contain_text("there is no job")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(api: LiveApi, person: Person, tmp_path: Path, theme: str) -> None:
    job_id = api.finished(tmp_path)
    person.page.emulate_media(color_scheme="light" if theme == "light" else "dark")
    for path in ("/models", f"/models/{job_id}"):
        person.page.goto(api.url + path)
        expect(person.page.get_by_text("18 B").first).to_be_visible()
        assert person.findings() == []


def test_a_phone_is_wide_enough(api: LiveApi, person: Person, tmp_path: Path) -> None:
    job = api.submit(name="a-name-without-any-blank-that-is-longer-than-a-phone-is-wide-" * 2)
    api.finish(api.train(job["id"]), tmp_path)
    person.page.set_viewport_size({"width": 390, "height": 800})
    for path in ("/models", f"/models/{job['id']}"):
        person.page.goto(api.url + path)
        expect(person.page.get_by_text("18 B").first).to_be_visible()
        assert not person.is_wider_than_the_window()
