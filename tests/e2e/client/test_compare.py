"""`gblend compare` and the SDK's experiments against the real API, and once through real trainings."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from gblend_client import AsyncGblend, Conflict, Gblend, NotFound, Validation

from tests.e2e.api.live import LiveApi, toy_spec
from tests.e2e.client.conftest import SECONDS, Run
from tests.integration.engine import samples
from tests.tiny import tiny_spec


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(toy_spec()))
    return path


def train(api: LiveApi, job_ids: list[str], accuracies: list[float]) -> None:
    for job_id, accuracy in zip(job_ids, accuracies, strict=True):
        lease = api.train(job_id, epochs=2)
        api.units.succeed(lease, samples.completed().model_copy(update={"test_accuracy": accuracy}), [])


def test_the_life_of_an_experiment(api: LiveApi, gblend: Gblend) -> None:
    body = {"name": "life", "job": toy_spec(), "strategies": ["naive", "online"], "seeds": [0, 1]}
    report = gblend.experiments.submit(body, validate_only=True)
    assert (report.valid, report.jobs) == (True, 4)
    made = gblend.experiments.submit(body, idempotency_key="exp-life")
    assert gblend.experiments.submit(body, idempotency_key="exp-life").id == made.id
    assert (made.status, made.is_terminal, made.counts["queued"], len(made.jobs)) == ("queued", False, 4, 4)
    assert next(gblend.experiments.list()).id == made.id
    assert gblend.experiments.page(limit=1).data[0].jobs == ()

    seen: list[str] = []
    job_ids = [job.job_id for job in made.jobs]
    for experiment in gblend.experiments.watch(made.id):
        seen.append(experiment.status)
        if len(seen) == 1:
            train(api, job_ids[:2], [0.5, 0.75])
        elif len(seen) == 2:
            train(api, job_ids[2:], [0.5, 0.625])
    assert seen == ["queued", "running", "succeeded"]

    ended = gblend.experiments.wait(made.id, timeout=5)
    assert ended == gblend.experiments.get(made.id)
    assert ended.finished_at is not None
    found = gblend.experiments.comparison(made.id, reference="naive")
    assert [(row.strategy, row.test.mean, row.done) for row in found.strategies] == [
        ("naive", 0.5, 2),
        ("online", 0.6875, 2),
    ]
    assert found.strategies[1].heads["fused"].mean == 0.5
    assert (found.to_reference[0].minus, found.to_reference[0].mean, found.to_reference[0].pairs) == (
        "naive",
        0.1875,
        2,
    )
    assert gblend.experiments.report(made.id).startswith("<!doctype html>")
    assert "| online (best) |" in gblend.experiments.report(made.id, format="md", reference="online")
    with pytest.raises(Conflict):
        gblend.experiments.cancel(made.id)
    with pytest.raises(NotFound):
        gblend.experiments.get("exp_nope")
    with pytest.raises(Validation) as caught:
        gblend.experiments.submit(body | {"strategies": ["naive", "onlin"]})
    assert caught.value.errors[0].pointer == "#/strategies/1"


def test_the_async_client_does_the_same(api: LiveApi) -> None:
    async def life() -> None:
        async with AsyncGblend(api.url, backoff=0.01) as gblend:
            made = await gblend.experiments.submit({"job": toy_spec(), "strategies": ["naive"], "seeds": [7]})
            watching = gblend.experiments.watch(made.id)
            assert (await anext(watching)).status == "queued"
            stopped = await gblend.experiments.cancel(made.id)
            assert (await gblend.experiments.cancel(made.id)).status == stopped.status == "cancelled"
            assert [experiment.status async for experiment in watching] == ["cancelled"]
            assert (await gblend.experiments.wait(made.id)).status == "cancelled"
            assert (await gblend.experiments.comparison(made.id)).best is None
            assert "cancelled" in await gblend.experiments.report(made.id, format="md")
            assert [each.id async for each in gblend.experiments.list(limit=1)] == [made.id]

    asyncio.run(life())


def test_compare_submits_and_compares_later(api: LiveApi, gblend: Gblend, run: Run, spec: Path, tmp_path: Path) -> None:
    options = ("--strategies", "naive,equal", "--strategies", "unimodal:size", "--seeds", 2)
    done = run("compare", spec, *options, "--set", "training.epochs=3", "--name", "mine", "--no-wait")
    assert done.exit_code == 0, done.output
    experiment_id, *_ = done.stdout.split()
    assert done.stdout == f"{experiment_id} queued (mine)\n"
    *warned, last = done.stderr.splitlines()
    assert [line for line in warned if "[scheduling.no_worker]" in line], "there is no worker in this test"
    assert last.startswith(f"6 jobs; compare later: gblend compare {experiment_id}, or at http://127.0.0.1:")
    made = gblend.experiments.get(experiment_id)
    assert [job.strategy for job in made.jobs[:3]] == ["naive", "equal", "unimodal:size"]
    assert made.spec["job"]["training"]["epochs"] == 3
    assert [experiment_id, "queued", "6", "0"] in [line.split()[:4] for line in run("experiments").stdout.splitlines()]
    assert json.loads(run("experiments", "--json", "--limit", 1).stdout)["data"][0]["id"] == experiment_id

    train(api, [job.job_id for job in made.jobs], [0.5, 0.75, 0.25, 0.5, 0.625, 0.25])
    report = tmp_path / "report.md"
    ended = run("compare", experiment_id, "--reference", "equal", "--report", report)
    assert ended.exit_code == 0, ended.output
    table = [line.split() for line in ended.stdout.splitlines()]
    assert ["equal", "2/2", "68.8", "±", "8.8", "-10.7", "to", "148.2"] in [row[:8] for row in table]
    assert ["naive", "-18.8"] in [row[:2] for row in table]
    assert ended.stdout.splitlines()[-2:] == [f"{experiment_id} succeeded", f"report: {report}"]
    assert "| equal (best) | 2 of 2 | 68.8 ± 8.8 |" in report.read_text()
    as_json = json.loads(run("compare", experiment_id, "--json").stdout)
    assert (as_json["object"], as_json["reference"], as_json["best"]) == ("experiment.comparison", "naive", "equal")


def test_an_experiments_own_spec_and_its_cancelling(gblend: Gblend, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    own = {"name": "long", "changes": {"training": {"epochs": 40}}}
    path.write_text(yaml.safe_dump({"job": toy_spec(), "strategies": ["naive", own], "seeds": [3]}))
    made = json.loads(run("compare", path, "--no-wait", "--json", "--strategies", "long,equal").stdout)
    assert [(job["strategy"], job["seed"]) for job in made["jobs"]] == [("long", 3), ("equal", 3)]
    assert gblend.jobs.get(made["jobs"][0]["job_id"]).spec["training"]["epochs"] == 40
    assert run("cancel", made["id"]).stdout == f"{made['id']} cancelled\n"
    ended = run("compare", made["id"])
    assert ended.exit_code == 1
    assert f"long, seed 3: cancelled; see gblend show {made['jobs'][0]['job_id']}" in ended.stderr
    assert run("cancel", made["id"]).exit_code == 0


def test_every_well_known_strategy_by_default(run: Run, spec: Path, gblend: Gblend) -> None:
    made = json.loads(run("compare", spec, "--no-wait", "--json").stdout)
    assert [job["strategy"] for job in made["jobs"] if job["seed"] == 2] == [
        "unimodal:look",
        "unimodal:size",
        "naive",
        "equal",
        "offline",
        "online",
    ]
    gblend.experiments.cancel(made["id"])


def test_what_cannot_be_compared_is_told(run: Run, spec: Path, tmp_path: Path) -> None:
    assert "report is .html or .md" in (done := run("compare", spec, "--report", tmp_path / "x.pdf")).stderr
    assert done.exit_code == 2
    assert run("compare", spec, "--report", tmp_path / "x.md", "--no-wait").exit_code == 2
    assert run("compare", "exp_01", "--seeds", 3).exit_code == 2
    assert run("compare", "exp_01").exit_code == 3
    (tmp_path / "empty.yaml").write_text("name: x\n")
    assert run("compare", tmp_path / "empty.yaml").exit_code == 2
    refused = run("compare", spec, "--strategies", "naive,onlin", "--no-wait")
    assert refused.exit_code == 3
    assert "#/strategies/1" in refused.stderr


def test_real_trainings_share_their_splits(up: str, tmp_path: Path) -> None:
    """Submit, wait, comparison and report over HTTP, with a real worker; exit status and table of the command."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_spec(epochs=2)))
    report = tmp_path / "report.html"
    command = [sys.executable, "-c", "from gblend_client.cli import app; app()", "compare", str(path), "--url", up]
    done = subprocess.run(
        [*command, "--strategies", "naive,offline", "--seeds", "1", "--report", str(report)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    experiment_id = done.stdout.split()[0]
    with Gblend(up) as gblend:
        experiment = gblend.experiments.get(experiment_id)
        jobs = {(job.strategy, job.seed): gblend.jobs.get(job.job_id) for job in experiment.jobs}
        prints = {which: job.dataset_fingerprint for which, job in jobs.items()}
        assert prints["naive", 0] == prints["offline", 0]
        assert str(prints["naive", 0]).startswith("sha256:")
        found = gblend.experiments.comparison(experiment_id)
        for row in found.strategies:
            measured = jobs[row.strategy, 0].result
            assert measured is not None
            assert [each.score for each in row.scores] == [measured.test_accuracy]
            assert row.cost is not None
            assert row.cost["seconds"] > 0
        naive, offline = found.strategies
        assert naive.super_epochs == ()
        assert len(offline.super_epochs) == 1
        assert sum(offline.super_epochs[0]["weights"].values()) == pytest.approx(1.0)
        assert (found.to_reference[0].strategy, found.to_reference[0].pairs) == ("offline", 1)
    assert report.read_text().count("<svg") == 3
    assert experiment_id in report.read_text()
