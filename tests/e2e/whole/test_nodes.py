"""One job on two real workers: one of them is killed and replaced, and the bits are those of an undisturbed job."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.whole.service import WholeService
from tests.servers import wait_until
from tests.tiny import tiny_spec, write_tiny

pytestmark = pytest.mark.timeout(500)


@pytest.fixture
def whole(tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[WholeService]:
    """An API on PostgreSQL and Redis, over the tiny data set; no worker yet."""
    write_tiny(tmp_path)
    service = WholeService(
        tmp_path,
        environment={
            "GBLEND_DATABASE__URL": postgres_url,
            "GBLEND_BROKER__URL": redis_url,
            "GBLEND_WORKER__ADDRESS": "127.0.0.1",
        },
    )
    service.start_api()
    yield service
    service.close()


def test_a_job_on_two_workers_survives_the_kill_of_either(whole: WholeService, tmp_path: Path) -> None:
    spec = tiny_spec({"strategy": "equal"}, epochs=20, dropout=0.3, training={"batch_size": 2})
    job_id = whole.submit(spec | {"scheduling": {"nodes": 2}})
    # Two machines: what one has on its disk the other has not.
    folders = [{"GBLEND_STATE_DIR": str(tmp_path / f"machine-{number}")} for number in (1, 2)]
    first = whole.start("worker", environment=folders[0])
    wait_until(lambda: "waiting for the job's other workers" in whole.log(), "the first worker", seconds=120)
    second = whole.start("worker", environment=folders[1])
    whole.wait_for_events(job_id, "epoch.completed", 2)
    pids = set(whole.training_pids(job_id))
    assert len(pids) == 2
    workers = whole.get("/v1/workers")["data"]
    assert sorted(worker["jobs"] for worker in workers) == [[job_id], [job_id]]

    os.kill(second.pid, signal.SIGKILL)
    wait_until(lambda: not pids & set(whole.training_pids(job_id)), "both trainings to end")
    second = whole.start("worker", environment=folders[1])
    done = len(whole.get(f"/v1/jobs/{job_id}/events", type="epoch.completed", limit=1000)["data"])
    whole.wait_for_events(job_id, "epoch.completed", done + 2)

    pids = set(whole.training_pids(job_id))
    os.kill(second.pid, signal.SIGTERM)
    assert second.wait(60) == 0
    wait_until(lambda: not pids & set(whole.training_pids(job_id)), "the first worker's to end as well", seconds=60)
    whole.start("worker", environment=folders[1])
    (ended,) = whole.wait_until_ended(job_id)
    # Only now: two such jobs at once may each hold one of the two workers, until one gives up.
    undisturbed = whole.submit(spec | {"scheduling": {"nodes": 2}})
    (other,) = whole.wait_until_ended(undisturbed)
    assert ended["status"] == other["status"] == "succeeded", (ended, other, whole.log()[-4000:])
    assert other["attempt"] == 1
    assert whole.history(job_id) == whole.history(undisturbed)
    assert first.poll() is None
    assert ended["attempt"] >= 3
    log = "".join(chunk["text"] for chunk in whole.every(f"/v1/jobs/{job_id}/logs"))
    assert log.count("going on from checkpoint") >= 2
    reasons = [change["reason"] for change in ended["transitions"] if change["status"] == "queued"]
    assert "worker_shutdown" in reasons
