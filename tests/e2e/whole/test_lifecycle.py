"""Real trainings, paused, resumed, cancelled and retried over HTTP: the bits are those of an undisturbed job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.whole.service import WholeService
from tests.servers import wait_until
from tests.tiny import tiny_spec, write_tiny

pytestmark = pytest.mark.timeout(500)

EPOCHS = 25


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[WholeService]:
    """Everything on this machine, over the tiny data set."""
    write_tiny(tmp_path)
    service = WholeService(tmp_path, environment={"GBLEND_ENGINE__SWEEP_SECONDS": "0.2"})
    service.start_api("up")
    yield service
    service.close()


def test_a_paused_job_and_a_retried_one_end_with_the_bits_of_an_undisturbed_one(
    whole: WholeService, tmp_path: Path
) -> None:
    spec = tiny_spec(epochs=EPOCHS, dropout=0.3)
    undisturbed = whole.submit(spec)
    whole.wait_until_ended(undisturbed)

    paused = whole.submit(spec)
    whole.wait_for_events(paused, "epoch.completed", 2)
    assert whole.client.post(f"/v1/jobs/{paused}/pause").json()["status"] in ("pausing", "paused")
    wait_until(lambda: whole.get(f"/v1/jobs/{paused}")["status"] == "paused", "the job to be paused")
    assert whole.training_pids(paused) == []
    done = len(whole.get(f"/v1/jobs/{paused}/events", type="epoch.completed", limit=1000)["data"])
    assert 2 <= done < EPOCHS, "paused in the middle"

    # While it is paused, its slot is another one's: this one is cancelled in the middle.
    cancelled = whole.submit(spec)
    whole.wait_for_events(cancelled, "epoch.completed", 2)
    assert whole.client.post(f"/v1/jobs/{cancelled}/cancel").status_code == 202
    (ended,) = whole.wait_until_ended(cancelled)
    assert ended["status"] == "cancelled"
    assert whole.client.post(f"/v1/jobs/{paused}/resume").json()["status"] == "queued"
    retried = whole.client.post(f"/v1/jobs/{cancelled}/retry").json()
    ends = whole.wait_until_ended(paused, retried["id"])
    assert [(job["status"], job["attempt"]) for job in ends] == [("succeeded", 2), ("succeeded", 1)]
    assert ends[1]["retry_of"] == cancelled
    expected = whole.history(undisturbed)
    assert whole.history(paused) == expected
    assert whole.history(retried["id"]) == expected
    assert "model.safetensors" in expected["artifacts"]
    log = (tmp_path / "state" / "runs" / cancelled / "1" / "child.log").read_text()
    assert "going on from checkpoint" not in log

    # Deleting removes all of it: files, checkpoints, logs.
    for job_id in (undisturbed, cancelled):
        assert whole.client.delete(f"/v1/jobs/{job_id}").status_code == 204
    folders = [tmp_path / "state" / "artifacts" / "jobs" / undisturbed, tmp_path / "state" / "runs" / cancelled]
    wait_until(lambda: not any(folder.exists() for folder in folders), "the sweeps")
    assert whole.get(f"/v1/jobs/{retried['id']}")["retry_of"] == cancelled
