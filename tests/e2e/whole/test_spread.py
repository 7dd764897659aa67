"""One job estimated together, and spread over two real workers of which one is killed: bit for bit the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.whole.service import WholeService
from tests.servers import wait_until
from tests.tiny import tiny_spec, write_tiny

pytestmark = pytest.mark.timeout(600)

EPOCHS = 24
"""Of each head's estimate too: long enough to be killed in."""


@pytest.fixture
def whole(tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[WholeService]:
    """An API on PostgreSQL and Redis, over the tiny data set; no worker yet."""
    write_tiny(tmp_path)
    service = WholeService(
        tmp_path, environment={"GBLEND_DATABASE__URL": postgres_url, "GBLEND_BROKER__URL": redis_url}
    )
    service.start_api()
    yield service
    service.close()


def _history(whole: WholeService, job_id: str) -> dict[str, Any]:
    """All that must not depend on where heads were estimated: of the events, what the run told.

    `model.json` names the spec as it was asked for, so of that file it is the content without `scheduling`.
    """
    found = whole.history(job_id)
    del found["artifacts"]["model.json"]
    events = [event for event in found["events"] if not event["type"].startswith("estimate.")]
    files = events[-1]["data"]["artifacts"]
    events[-1]["data"]["artifacts"] = [file for file in files if file["name"] != "model.json"]
    listed = whole.get(f"/v1/jobs/{job_id}/artifacts")["data"]
    (href,) = [file["href"] for file in listed if file["name"] == "model.json"]
    model = whole.get(href)
    del model["spec"]["scheduling"]
    return found | {"events": events, "model": model}


def _held_by(whole: WholeService, job_id: str) -> dict[int, list[int]]:
    """Worker process -> the training processes of the job that it started."""
    found: dict[int, list[int]] = {}
    for pid in whole.training_pids(job_id):
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.setdefault(parent, []).append(pid)
    return found


def _with_checkpoints(whole: WholeService, job_id: str) -> set[str]:
    """The heads that would not begin anew: a checkpoint is written before its epoch is told."""
    events = whole.get(f"/v1/jobs/{job_id}/events", type="estimate.epoch", limit=1000)["data"]
    return {event["data"]["head"] for event in events}


def test_heads_estimated_on_two_workers_give_the_job_of_one_process(whole: WholeService, tmp_path: Path) -> None:
    workers = [whole.start("worker"), whole.start("worker")]
    spec = tiny_spec({"strategy": "offline"}, epochs=EPOCHS, dropout=0.3, training={"max_grad_norm": 0.5})
    spread = spec | {"scheduling": {"spread_estimates": True}}

    disturbed = whole.submit(spread)
    wait_until(lambda: len(_with_checkpoints(whole, disturbed)) == 2, "two heads to have checkpoints", seconds=120)
    wait_until(lambda: len(_held_by(whole, disturbed)) == 2, "both workers to be at work")
    victim = workers[0]
    os.kill(victim.pid, signal.SIGKILL)
    wait_until(lambda: victim.pid not in _held_by(whole, disturbed), "its training to end with it")
    whole.start("worker")
    together = whole.submit(spec)
    ends = whole.wait_until_ended(disturbed, together)

    assert [job["status"] for job in ends] == ["succeeded"] * 2, (ends, whole.log()[-4000:])
    expected = _history(whole, together)
    assert _history(whole, disturbed) == expected
    assert len(expected["super_epochs"]) == 1
    assert expected["super_epochs"][0]["cost"]["samples"] == EPOCHS * 84 * 3
    assert "model.safetensors" in expected["artifacts"]

    for head in ("clean", "noisy", "fused"):
        told = [
            (event["type"], event["data"].get("epoch"))
            for event in whole.every(f"/v1/jobs/{disturbed}/events")
            if event["data"].get("head") == head and event["type"] != "estimate.interrupted"
        ]
        epochs = [("estimate.epoch", epoch + 1) for epoch in range(EPOCHS)]
        assert told == [("estimate.started", None), *epochs, ("estimate.completed", None)], head
    (interrupted,) = whole.get(f"/v1/jobs/{disturbed}/events", type="estimate.interrupted")["data"]
    assert (interrupted["data"]["reason"], interrupted["level"]) == ("worker_lost", "warning")
    log = "".join(chunk["text"] for chunk in whole.every(f"/v1/jobs/{disturbed}/logs"))
    assert f"[{interrupted['data']['head']}] going on from checkpoint" in log
    # Every head once, and the run; the worker that was killed may have taken its first lines along.
    assert log.count("there is no checkpoint") in (3, 4)
    stored = [path.relative_to(tmp_path / "state/artifacts/jobs") for path in tmp_path.glob("state/artifacts/jobs/*/*")]
    assert {path.name[0] for path in stored} <= set("123"), "the files of the estimates are gone"
