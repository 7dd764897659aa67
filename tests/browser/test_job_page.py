"""A job's page: complete whenever it is opened, live, and true to what the API says."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from benchmarks import story
from core.events import EpochCompleted, JournalEntry, Warned
from core.jobs.lease import Lease
from tests.browser.person import Person
from tests.e2e.api.live import LiveApi
from tests.servers import free_port

ATTACK = "<img src=x onerror=\"document.title='broken in'\">"
Start = Callable[..., AbstractContextManager[LiveApi]]


def _running(api: LiveApi, super_epochs: int, **changes: Any) -> tuple[str, Lease, list[JournalEntry]]:
    """A job that a worker has taken, and all that it will tell."""
    job_id = api.submit(**changes)["id"]
    return job_id, api.claim(job_id), list(story.entries(super_epochs))


def _drawn(page: Page, title: str) -> list[list[str]]:
    """The rows of a chart's numbers."""
    chart = page.get_by_role("region", name=title, exact=True)
    if not chart.locator("table").count():
        chart.get_by_text("Numbers", exact=True).click()
        expect(chart.locator("table")).to_be_visible()
    return [row.locator("td").all_inner_texts() for row in chart.locator("tbody tr").all()]


def _super_epochs(page: Page) -> list[int]:
    return sorted({int(row[0]) for row in _drawn(page, "Weights")})


def test_charts_grow_as_events_come(api: LiveApi, page: Page) -> None:
    job_id, lease, entries = _running(api, 6)
    page.goto(f"{api.url}/jobs/{job_id}")
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    expect(page.get_by_role("region", name="Weights")).to_contain_text("No weights yet")
    api.units.record(lease, entries[:9])  # up to epoch 2
    expect(page.get_by_role("img", name="Weights of audio, image, fused over 2 super-epochs")).to_be_visible()
    expect(page.get_by_role("region", name="Loss, and its gap")).to_contain_text("audio")
    api.units.record(lease, entries[9:])
    expect(page.get_by_role("img", name="Weights of audio, image, fused over 6 super-epochs")).to_be_visible()
    assert _super_epochs(page) == [0, 1, 2, 3, 4, 5]
    losses = [row for row in _drawn(page, "Loss, and its gap") if row[:2] == ["audio", "train"]]
    assert [row[3] for row in losses] == ["1", "2", "3", "4", "5", "6"]
    told = api.client.get(f"/v1/jobs/{job_id}/metrics?head=audio&split=train&metric=loss&scope=epoch").json()["data"]
    assert [row[4] for row in losses] == [f"{point['value']:.4g}" for point in told]


def test_it_is_complete_wherever_one_comes_in(api: LiveApi, page: Page) -> None:
    job_id, lease, entries = _running(api, 8)
    api.units.record(lease, entries[:17])
    page.goto(f"{api.url}/jobs/{job_id}")
    expect(page.get_by_role("img", name="over 4 super-epochs").first).to_be_visible()
    api.units.record(lease, entries[17:25])
    expect(page.get_by_role("img", name="over 6 super-epochs").first).to_be_visible()
    page.reload()
    expect(page.get_by_role("img", name="over 6 super-epochs").first).to_be_visible()
    api.units.record(lease, entries[25:])
    expect(page.get_by_role("img", name="over 8 super-epochs").first).to_be_visible()
    assert _super_epochs(page) == list(range(8))
    events = page.get_by_role("log", name="Events").locator(".line")
    total = api.client.get(f"/v1/jobs/{job_id}").json()["last_seq"]
    expect(events).to_have_count(total)


def test_a_server_that_was_away_leaves_no_gap_and_no_double(start: Start, page: Page) -> None:
    port = free_port()
    with start(port) as api:
        job_id, lease, entries = _running(api, 9)
        api.units.record(lease, entries[:13])
        page.goto(f"{api.url}/jobs/{job_id}")
        expect(page.get_by_role("img", name="over 3 super-epochs").first).to_be_visible()
    expect(page.get_by_text("connection lost, trying again")).to_be_visible()
    with start(port) as api:
        api.units.record(lease, entries[13:29])
        expect(page.get_by_text("live", exact=True)).to_be_visible(timeout=20_000)
        api.units.record(lease, entries[29:])
        expect(page.get_by_role("img", name="over 9 super-epochs").first).to_be_visible(timeout=20_000)
        assert _super_epochs(page) == list(range(9))
        times = page.get_by_role("log", name="Events").locator("time")
        seqs = [int(title.rsplit(" ", 1)[1]) for title in times.evaluate_all("all => all.map((one) => one.title)")]
        assert seqs == list(range(1, api.client.get(f"/v1/jobs/{job_id}").json()["last_seq"] + 1))


def test_the_end_is_shown_when_it_comes(api: LiveApi, page: Page, tmp_path: Path) -> None:
    job_id = api.submit(name="to its end")["id"]
    page.goto(f"{api.url}/jobs/{job_id}")
    expect(page.get_by_text("queued", exact=True)).to_be_visible()
    api.finish(api.train(job_id), tmp_path)
    expect(page.get_by_text("succeeded", exact=True).first).to_be_visible()
    expect(page.get_by_role("region", name="Test metrics")).to_contain_text("the answer")
    expect(page.get_by_text("live", exact=True)).to_have_count(0)
    page.get_by_role("tab", name="Artifacts").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="model.bin").click()
    assert download.value.path().read_bytes() == b"weights of a model"


def test_every_number_can_be_taken_away(api: LiveApi, page: Page) -> None:
    job_id, lease, entries = _running(api, 4)
    api.units.record(lease, entries)
    page.goto(f"{api.url}/jobs/{job_id}")
    for title, suffix, start in (
        ("Weights", "png", b"\x89PNG"),
        ("OGR", "png", b"\x89PNG"),
        ("Gain and overfitting", "svg", b"<svg"),
        ("Accuracy", "png", b"\x89PNG"),
        ("Loss, and its gap", "png", b"\x89PNG"),
        ("Time", "svg", b"<svg"),
    ):
        page.reload()  # a browser allows ten downloads in a row
        with page.expect_download() as picture:
            page.get_by_role("button", name=f"Download {title} as a picture").click()
        assert picture.value.suggested_filename.endswith(suffix)
        assert picture.value.path().read_bytes().startswith(start)
        with page.expect_download() as numbers:
            page.get_by_role("button", name=f"Download the numbers of {title} as CSV").click()
        assert len(numbers.value.path().read_text().splitlines()) > 1
    with page.expect_download() as numbers:
        page.get_by_role("button", name="Download the numbers of Weights as CSV").click()
    rows = list(csv.DictReader(numbers.value.path().read_text().splitlines()))
    told = api.client.get(f"/v1/jobs/{job_id}/super-epochs").json()["data"]
    assert [(int(row["super_epoch"]), row["head"], float(row["weight"]), float(row["ogr"])) for row in rows] == [
        (row["super_epoch"], head["head"], head["weight"], head["ogr"]) for row in told for head in row["heads"]
    ]


def test_a_job_is_paused_resumed_cancelled_and_tried_again(api: LiveApi, page: Page) -> None:
    job_id = api.submit(name="moved by hand")["id"]
    page.goto(f"{api.url}/jobs/{job_id}")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("queued", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Leave it").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.get_by_text("cancelled", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Retry").click()
    page.wait_for_url(lambda url: "/jobs/job_" in url and not url.endswith(job_id))
    expect(page.get_by_text("queued", exact=True).first).to_be_visible()
    again = page.url.rsplit("/", 1)[1]
    assert api.client.get(f"/v1/jobs/{again}").json()["retry_of"] == job_id
    page.goto(f"{api.url}/jobs/{job_id}")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    assert api.client.get(f"/v1/jobs/{job_id}").status_code == 404


def test_what_others_wrote_is_text_everywhere(api: LiveApi, page: Page) -> None:
    job_id = api.submit(name=ATTACK, metadata={"note": ATTACK})["id"]
    lease = api.claim(job_id)
    heads = [ATTACK, "fused"]
    entries = list(story.entries(2, heads=heads))
    api.units.record(lease, entries)
    api.units.record(lease, [JournalEntry(number=len(entries) + 1, event=Warned(code="odd", message=ATTACK))])
    page.goto(f"{api.url}/jobs/{job_id}")
    expect(page.get_by_role("heading", name=ATTACK).first).to_be_visible()
    expect(page.get_by_role("log", name="Events")).to_contain_text(ATTACK)
    for tab in ("Spec", "Environment", "States", "Log", "Artifacts"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(100)
    assert page.locator("img[src=x]").count() == 0
    assert "broken in" not in page.title().replace(ATTACK, "")


def test_a_flag_is_explained_where_it_was_raised(api: LiveApi, page: Page) -> None:
    job_id, lease, entries = _running(api, 20)
    api.units.record(lease, entries)
    page.goto(f"{api.url}/jobs/{job_id}")
    flags = page.get_by_role("region", name="Flags")
    expect(flags.get_by_role("row", name="noise_dominated")).to_contain_text("smaller than its own standard error")
    expect(flags.get_by_role("row", name="noise_dominated")).to_contain_text("audio")


def test_heads_can_be_left_out_of_a_chart(api: LiveApi, page: Page) -> None:
    job_id, lease, entries = _running(api, 3)
    api.units.record(lease, entries)
    page.goto(f"{api.url}/jobs/{job_id}")
    head = page.get_by_role("region", name="OGR").get_by_role("button", name="image")
    expect(head).to_have_attribute("aria-pressed", "true")
    head.press("Enter")
    expect(head).to_have_attribute("aria-pressed", "false")


def test_numbers_that_are_not_finite_do_not_break_it(api: LiveApi, page: Page) -> None:
    job_id, lease, entries = _running(api, 2)
    last = entries[-1].event
    assert isinstance(last, EpochCompleted)
    lost = json.loads(last.model_dump_json())
    lost["measurements"] = [{**one, "loss": None, "accuracy": None, "score": None} for one in lost["measurements"]]
    broken = JournalEntry(number=entries[-1].number, event=EpochCompleted.model_validate(lost))
    api.units.record(lease, [*entries[:-1], broken])
    page.goto(f"{api.url}/jobs/{job_id}")
    expect(page.get_by_role("region", name="Loss, and its gap")).to_contain_text("gap \N{EN DASH}")


def test_a_job_that_is_deleted_elsewhere_is_told_and_left_alone(api: LiveApi, page: Page) -> None:
    job_id = api.submit(name="soon gone")["id"]
    page.goto(f"{api.url}/jobs/{job_id}")
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    api.client.post(f"/v1/jobs/{job_id}/cancel")
    expect(page.get_by_text("cancelled", exact=True).first).to_be_visible()
    assert api.client.delete(f"/v1/jobs/{job_id}").status_code == 204
    expect(page.get_by_role("alert")).to_contain_text("there is no job")
    expect(page.get_by_role("heading", name="soon gone")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(3000)
    assert [url for url in asked if job_id in url] == []


def test_an_unknown_job_is_told(api: LiveApi, page: Page) -> None:
    page.goto(f"{api.url}/jobs/job_nothing")
    expect(page.get_by_role("alert")).to_contain_text("there is no job")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(api: LiveApi, person: Person, theme: str, tmp_path: Path) -> None:
    job_id = api.submit(name="looked at")["id"]
    lease = api.train(job_id, epochs=2)
    api.finish(lease, tmp_path)
    person.page.emulate_media(color_scheme="light" if theme == "light" else "dark")
    person.page.goto(f"{api.url}/jobs/{job_id}")
    expect(person.page.get_by_role("region", name="Test metrics")).to_be_visible()
    assert person.findings() == []
    for tab in ("Log", "Spec", "Environment", "Artifacts", "States"):
        person.page.get_by_role("tab", name=tab).click()
        assert person.findings() == []


def test_a_phone_is_wide_enough(api: LiveApi, person: Person) -> None:
    job_id, lease, entries = _running(api, 3, name="on a phone")
    api.units.record(lease, entries)
    person.page.set_viewport_size({"width": 390, "height": 800})
    person.page.goto(f"{api.url}/jobs/{job_id}")
    expect(person.page.get_by_role("region", name="Weights")).to_be_visible()
    assert not person.is_wider_than_the_window()
