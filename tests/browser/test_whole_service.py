"""The whole service, as somebody with a browser meets it: real processes, real training, a server that dies."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.new_job import at
from tests.e2e.whole.service import WholeService
from tests.servers import wait_until
from tests.tiny import tiny_spec, write_tiny

pytestmark = pytest.mark.timeout(300)

EPOCHS = 30
"""Of a job that is still training when the server is killed."""


@pytest.fixture
def whole(tmp_path: Path, _migrated_sqlite: Path) -> Iterator[WholeService]:
    """A deployment over the tiny data set: an API and a worker, on SQLite and files."""
    write_tiny(tmp_path)
    (tmp_path / "state").mkdir()
    shutil.copyfile(_migrated_sqlite, tmp_path / "state" / "gblend.sqlite3")
    service = WholeService(tmp_path, environment={})
    service.start_api()
    service.start("worker")
    yield service
    service.close()


def test_a_job_of_the_form_is_watched_while_the_server_is_killed_and_comes_back(
    whole: WholeService, page: Page
) -> None:
    page.goto(f"{whole.client.base_url}/new")
    page.get_by_role("button", name="Edit as JSON").click()
    page.get_by_label("Job spec as JSON").fill(json.dumps(tiny_spec(epochs=4, dropout=0.3)))
    page.get_by_role("button", name="Edit as JSON").click()
    at(page, "name").fill("watched")
    at(page, "training/epochs").fill(str(EPOCHS))
    expect(page.get_by_text("Ready to submit")).to_be_visible()
    page.get_by_role("button", name="Submit the job").click()
    page.wait_for_url("**/jobs/job_*")
    job_id = page.url.rsplit("/", 1)[1]
    page.goto(str(whole.client.base_url))
    expect(page.get_by_role("row", name="watched")).to_contain_text("running", timeout=60_000)
    page.get_by_role("link", name="watched").click()
    weights_so_far = page.get_by_role("img", name=re.compile(r"Weights of .* over ([3-9]|\d\d) super-epochs"))
    expect(weights_so_far).to_be_visible(timeout=60_000)
    api = whole.running()[0]
    os.kill(api.pid, signal.SIGKILL)
    api.wait()
    expect(page.get_by_text("connection lost, trying again")).to_be_visible()
    whole.start_api()
    expect(page.get_by_role("region", name="Test metrics")).to_be_visible(timeout=120_000)
    expect(page.get_by_text("succeeded", exact=True).first).to_be_visible()

    told = whole.every(f"/v1/jobs/{job_id}/super-epochs")
    weights = page.get_by_role("region", name="Weights", exact=True)
    expect(weights.get_by_role("img", name=f"over {len(told)} super-epochs")).to_be_visible()
    with page.expect_download() as download:
        weights.get_by_role("button", name="as CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert [(int(row["super_epoch"]), row["head"], float(row["weight"])) for row in rows] == [
        (one["super_epoch"], head["head"], head["weight"]) for one in told for head in one["heads"]
    ]
    events = page.get_by_role("log", name="Events").locator("time")
    seqs = [int(title.rsplit(" ", 1)[1]) for title in events.evaluate_all("all => all.map((one) => one.title)")]
    assert seqs == list(range(1, len(whole.every(f"/v1/jobs/{job_id}/events")) + 1))


def test_a_real_job_is_paused_resumed_and_cancelled_by_hand(whole: WholeService, page: Page) -> None:
    job_id = whole.submit(tiny_spec(epochs=3000, name="by hand"))
    page.goto(f"{whole.client.base_url}/jobs/{job_id}")
    expect(page.get_by_text("running", exact=True).first).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused", exact=True).first).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("running", exact=True).first).to_be_visible(timeout=60_000)
    page.goto(f"{whole.client.base_url}/workers")
    expect(page.get_by_role("link", name=f"job_…{job_id[-6:]}")).to_be_visible(timeout=30_000)
    page.get_by_role("link", name=f"job_…{job_id[-6:]}").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.get_by_text("cancelled", exact=True).first).to_be_visible(timeout=30_000)
    wait_until(lambda: not whole.training_pids(job_id), "the training to end")


def test_a_real_model_is_shown_and_read_as_its_page_says(whole: WholeService, page: Page, tmp_path: Path) -> None:
    job_id = whole.submit(tiny_spec(epochs=4, name="kept"))
    (job,) = whole.wait_until_ended(job_id)
    result = job["result"]
    page.goto(f"{whole.client.base_url}/models")
    page.get_by_role("link", name="kept").click()
    answer = page.get_by_role("region", name="The answer and why")
    expect(answer).to_contain_text(result["answer_reason"])
    card = page.get_by_role("region", name="Model card")
    expect(card).to_contain_text("y (multiclass)")
    expect(card.get_by_role("row", name="noisy embedding")).to_contain_text("[20]")
    expect(card).to_contain_text(job["dataset_fingerprint"])
    contributions = page.get_by_role("region", name="What each modality contributes")
    (clean,) = (one for one in result["contributions"] if one["modality"] == "clean")
    expect(contributions.get_by_role("img")).to_have_attribute(
        "aria-label", re.compile(rf"clean: {clean['drop']:.3f} ± {clean['drop_se']:.3f}")
    )
    page.get_by_role("region", name="Use it").get_by_role("tab", name="Python").click()
    script = page.get_by_role("region", name="Use it").locator("pre").inner_text()
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "client")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"multiclass {result['answer']} {{'clean'")
    assert (folder / "model" / "model.safetensors").is_file()
