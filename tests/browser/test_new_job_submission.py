"""The form of a new job: where it begins, what it submits, what it is copied as."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.browser.new_job import at, begin, copied, jobs, shown, suggested
from tests.e2e.api.live import LiveApi, toy_spec

HOSTILE = "o'clock $HOME `id` $(id) \"two\" \\n\nJSON\n''' %s {x} <b>é\u2028\U0001f600"
COMMAND = "from gblend_client.cli import app; app()"
CLIENT = Path(__file__).parents[2] / "client"


def test_a_submission_that_is_refused_leads_to_what_is_missing(api: LiveApi, page: Page) -> None:
    page.goto(f"{api.url}/new")
    expect(page.get_by_text("3 fields still needed")).to_be_visible()
    page.get_by_role("button", name="Submit the job").click()
    expect(page.get_by_text("3 things are wrong")).to_be_visible()
    expect(at(page, "dataset/source/uri")).to_have_attribute("aria-invalid", "true")
    link = page.get_by_role("link", name="dataset.source.uri")
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    expect(at(page, "dataset/source/uri")).to_be_focused()
    assert jobs(api) == []


def test_what_says_no_more_than_the_defaults_is_not_sent(api: LiveApi, page: Page) -> None:
    job = api.submit(blending={"strategy": "online", "warm_up": 2}, seed=5)
    page.goto(f"{api.url}/new?from={job['id']}")
    expect(page.get_by_text("This began as the spec of toy.")).to_be_visible()
    assert shown(page) == {**toy_spec(), "seed": 5, "blending": {"strategy": "online", "warm_up": 2}}
    expect(page.get_by_text("Ready to submit")).to_be_visible()
    page.get_by_role("button", name="Submit the job").click()
    page.wait_for_url("**/jobs/job_*")
    assert [one["spec_fingerprint"] for one in jobs(api)] == [job["spec_fingerprint"]] * 2


def test_a_draft_survives_a_reload(api: LiveApi, page: Page) -> None:
    page.goto(f"{api.url}/new")
    at(page, "name").fill("half done")
    at(page, "training/epochs").fill("not yet")
    page.reload()
    expect(at(page, "name")).to_have_value("half done")
    expect(at(page, "training/epochs")).to_have_value("not yet")
    expect(page.get_by_text("This is the draft that you left.")).to_be_visible()
    page.get_by_role("button", name="Begin with an empty form").click()
    expect(at(page, "name")).to_have_value("")
    expect(at(page, "training/epochs")).to_have_value("20")


def test_a_double_click_makes_one_job(api: LiveApi, page: Page) -> None:
    begin(page, api, toy_spec())
    expect(page.get_by_text("Ready to submit")).to_be_visible()
    page.get_by_role("button", name="Submit the job").dblclick()
    page.wait_for_url("**/jobs/job_*")
    assert len(jobs(api)) == 1


def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_key(api: LiveApi, page: Page) -> None:
    begin(page, api, toy_spec())
    expect(page.get_by_text("Ready to submit")).to_be_visible()
    lost: list[str | None] = []

    def lose(route: Route) -> None:
        if "validate_only" in route.request.url or route.request.method != "POST" or lost:
            route.fallback()
            return
        lost.append(route.request.headers.get("idempotency-key"))
        route.fetch()
        route.abort()

    page.route("**/v1/jobs*", lose)
    page.get_by_role("button", name="Submit the job").click()
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached")
    assert len(jobs(api)) == 1
    page.reload()
    with page.expect_request(lambda request: request.method == "POST" and request.url.endswith("/v1/jobs")) as again:
        page.get_by_role("button", name="Submit the job").click()
    page.wait_for_url("**/jobs/job_*")
    assert again.value.headers["idempotency-key"] == lost[0]
    assert len(jobs(api)) == 1


def test_a_registered_data_set(api: LiveApi, page: Page) -> None:
    body = {"name": "the toys", "dataset": toy_spec()["dataset"], "holdout": {"fraction": 0.3}}
    dataset = api.client.post("/v1/datasets", json=body).json()
    page.goto(f"{api.url}/new?dataset={dataset['id']}")
    expect(page.get_by_text("size (tabular), look (tabular)")).to_be_visible()
    expect(page.get_by_text("Ready to submit")).to_be_visible()
    assert shown(page) == {"dataset": dataset["id"]}
    page.get_by_label("Blending: strategy").select_option("unimodal")
    assert suggested(page, "blending/modality") == ["size", "look"]
    page.get_by_label("Blending: strategy").select_option("naive")
    page.get_by_role("button", name="Submit the job").click()
    page.wait_for_url("**/jobs/job_*")
    assert jobs(api)[0]["spec"]["holdout"]["fraction"] == 0.3

    page.goto(f"{api.url}/new")
    page.get_by_label("A registered data set").check()
    expect(page.get_by_label("Data set", exact=True)).to_have_value(dataset["id"])
    page.get_by_role("button", name="Copy it into the form").click()
    assert shown(page) == {"dataset": toy_spec()["dataset"], "holdout": {"fraction": 0.3}}
    page.get_by_label("A registered data set").check()
    at(page, "dataset").fill("ds_0")
    expect(page.locator('[id="spec/dataset?said"]')).to_contain_text("there is no data set 'ds_0'")


def test_copied_commands_make_the_same_job(api: LiveApi, page: Page, tmp_path: Path) -> None:
    begin(page, api, toy_spec(name=HOSTILE, metadata={"'$(touch pwned)'": HOSTILE}, training={"epochs": 4}))
    expect(page.get_by_text("Ready to submit")).to_be_visible()
    folder = tmp_path / "elsewhere"
    for script in (
        [sys.executable, "-c", copied(page, "Python")],
        ["sh", "-c", copied(page, "curl")],
        ["sh", "-c", f'gblend() {{ {sys.executable} -c "{COMMAND}" "$@"; }}\n{copied(page, "CLI")}'],
    ):
        folder.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(CLIENT)}
        done = subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    page.get_by_role("button", name="Submit the job").click()
    page.wait_for_url("**/jobs/job_*")
    made = jobs(api)
    assert len(made) == 4
    for job in made:
        assert job["name"] == HOSTILE
        assert job["metadata"] == {"'$(touch pwned)'": HOSTILE}
        assert job["spec"] == made[0]["spec"]
    assert list(folder.iterdir()) == []


def test_a_plain_network_has_no_clipboard_and_no_uuid_and_both_work(api: LiveApi, page: Page) -> None:
    # What browsers take from a page whose origin is not secure: http, and not this machine.
    page.add_init_script(
        "for (const [of, name] of [[navigator, 'clipboard'], [crypto, 'randomUUID']]) "
        "Object.defineProperty(of, name, { value: undefined });"
    )
    begin(page, api, toy_spec())
    button = page.get_by_role("group", name="Copy as").get_by_role("button").last
    button.click()
    expect(button).to_have_text("Copied")
    expect(button).to_be_focused()
    page.get_by_role("button", name="Edit as JSON").click()
    page.get_by_label("Job spec as JSON").fill("")
    page.get_by_label("Job spec as JSON").press("ControlOrMeta+V")
    assert json.loads(page.get_by_label("Job spec as JSON").input_value()) == toy_spec()
    page.get_by_role("button", name="Submit the job").click()
    page.wait_for_url("**/jobs/job_*")


def test_strategies_are_compared(api: LiveApi, page: Page) -> None:
    begin(page, api, toy_spec(seed=7))
    page.get_by_label("Train with several strategies and seeds").check()
    for name in ("unimodal:look", "equal", "offline", "online"):
        page.get_by_label(name, exact=True).uncheck()
    at(page, "seeds").fill("3, x")
    expect(at(page, "seeds")).to_have_attribute("aria-invalid", "true")
    at(page, "seeds").fill("3, 4")
    expect(page.get_by_text("4 jobs in all")).to_be_visible()
    at(page, "dataset/target/column").fill("lable")
    expect(at(page, "dataset/target/column")).to_have_attribute("aria-invalid", "true")
    at(page, "dataset/target/column").fill("label")
    expect(page.get_by_text("Ready to submit")).to_be_visible()
    page.get_by_role("button", name="Submit the experiment").click()
    page.wait_for_url("**/experiments/exp_*")
    (experiment,) = api.client.get("/v1/experiments").json()["data"]
    assert experiment["name"] == "toy"
    assert experiment["spec"]["seeds"] == [3, 4]
    assert [one["name"] for one in experiment["spec"]["strategies"]] == ["unimodal:size", "naive"]


def test_an_unknown_job_to_start_from(api: LiveApi, page: Page) -> None:
    page.goto(f"{api.url}/new?from=job_0")
    expect(page.get_by_role("alert")).to_contain_text("job_0")
    page.get_by_role("link", name="Begin with an empty form").click()
    expect(at(page, "dataset/source/uri")).to_be_visible()
