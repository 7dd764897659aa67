"""Pause, resume, retry, delete: the SDK's calls and the commands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gblend_client import Conflict, NotFound, RateLimited
from gblend_client.cli import app
from typer.testing import CliRunner, Result

from tests.unit.client.service import JOB_ID, Reply, Service, job, problem

PATH = f"/v1/jobs/{JOB_ID}"
EXPERIMENT = "/v1/experiments/exp_01"


@pytest.fixture
def gblend(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command against the service."""
    monkeypatch.setenv("GBLEND_URL", service.url)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments), catch_exceptions=False)

    return run


@pytest.mark.parametrize(("action", "status"), [("pause", "pausing"), ("resume", "queued")])
def test_pause_and_resume_may_be_repeated(jobs: Any, service: Service, action: str, status: str) -> None:
    service.script(f"POST {PATH}/{action}", Reply(202, job(status), cut=10))
    assert getattr(jobs, action)(JOB_ID).status == status
    assert len(service.seen(f"POST {PATH}/{action}")) == 2
    service.script(f"POST {PATH}/{action}", problem(409, "job.state"))
    with pytest.raises(Conflict):
        getattr(jobs, action)(JOB_ID)


def test_a_retry_keeps_its_key_through_lost_answers(jobs: Any, service: Service) -> None:
    service.script(f"POST {PATH}/retry", Reply(201, job("queued"), cut=10))
    made = jobs.retry(JOB_ID, scheduling={"max_runtime_seconds": None})
    assert (made.id, made.retry_of) == ("job_02", JOB_ID)
    first, second = service.seen(f"POST {PATH}/retry")
    assert json.loads(first.body) == {"scheduling": {"max_runtime_seconds": None}}
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] != ""
    jobs.retry(JOB_ID, idempotency_key="mine")
    last = service.seen(f"POST {PATH}/retry")[-1]
    assert (json.loads(last.body), last.headers["idempotency-key"]) == ({}, "mine")


def test_a_delete_whose_answer_was_lost_is_done(jobs: Any, service: Service) -> None:
    assert jobs.delete(JOB_ID) is None
    service.script(f"DELETE {PATH}", Reply(204, b"", cut=0), problem(404, "job.not_found"))
    assert jobs.delete(JOB_ID) is None
    service.script(f"DELETE {PATH}", problem(404, "job.not_found"))
    with pytest.raises(NotFound):
        jobs.delete(JOB_ID)
    service.script(f"DELETE {PATH}", problem(409, "job.state", hint="cancel it first"))
    with pytest.raises(Conflict) as refused:
        jobs.delete(JOB_ID)
    assert refused.value.hint == "cancel it first"


def test_an_experiment_is_deleted(experiments: Any, service: Service) -> None:
    service.script(f"DELETE {EXPERIMENT}", problem(409, "experiment.state"), Reply(204, b""))
    with pytest.raises(Conflict):
        experiments.delete("exp_01")
    assert experiments.delete("exp_01") is None


def test_a_full_service_is_asked_again_when_it_says(jobs: Any, service: Service) -> None:
    full = problem(429, "jobs.max_pending", headers={"retry-after": "0"})
    service.script("POST /v1/jobs", full)
    assert jobs.submit({"name": "digits"}).id == JOB_ID
    service.script("POST /v1/jobs", *[full] * 5)
    with pytest.raises(RateLimited):
        jobs.submit({"name": "digits"})


def test_wait_and_watch_go_on_through_a_pause(jobs: Any, service: Service) -> None:
    running, paused, over = (
        Reply(200, job(status), {"retry-after": "0"}) for status in ("running", "paused", "succeeded")
    )
    service.script(f"GET {PATH}", running, paused, paused, over)
    assert jobs.wait(JOB_ID).status == "succeeded"


def test_the_commands(gblend: Any, service: Service) -> None:
    assert gblend("pause", JOB_ID).stdout == "job_01 pausing (digits)\n"
    assert gblend("resume", JOB_ID).stdout == "job_01 queued (digits)\n"
    done = gblend("retry", JOB_ID, "--set", "scheduling.max_runtime_seconds=7200.0", "--idempotency-key", "k")
    assert done.stdout == "job_02 queued (digits)\n"
    assert done.stderr == f"watch it: gblend watch job_02, or at {service.url}/jobs/job_02\n"
    sent = service.seen(f"POST {PATH}/retry")[-1]
    assert json.loads(sent.body) == {"scheduling": {"max_runtime_seconds": 7200.0}}
    assert sent.headers["idempotency-key"] == "k"
    assert json.loads(gblend("retry", JOB_ID, "--json").stdout)["retry_of"] == JOB_ID
    assert gblend("delete", JOB_ID).stdout == "job_01 deleted\n"
    assert json.loads(gblend("delete", JOB_ID, "--json").stdout) == {"id": JOB_ID, "deleted": True}
    service.script(f"DELETE {EXPERIMENT}", Reply(204, b""))
    assert gblend("delete", "exp_01").stdout == "exp_01 deleted\n"


def test_what_a_retry_cannot_change_is_refused_before_anything_is_sent(gblend: Any, service: Service) -> None:
    for change in ("training.epochs=5", "scheduling=3"):
        done = gblend("retry", JOB_ID, "--set", change)
        assert done.exit_code == 2
        assert "only scheduling.FIELD" in done.stderr
    assert service.requests == []
    service.script(f"DELETE {PATH}", problem(409, "job.state", hint="cancel it first"))
    done = gblend("delete", JOB_ID)
    assert (done.exit_code, done.stdout) == (3, "")
    assert "hint: cancel it first" in done.stderr
