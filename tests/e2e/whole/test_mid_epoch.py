"""A job of one long epoch, killed and paused in the middle of it: nothing is begun anew, and the bits are the same."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.whole.service import WholeService
from tests.servers import wait_until
from tests.tiny import tiny_spec

pytestmark = pytest.mark.timeout(500)

ROWS = 6_000
LONG = 300
"""Seconds in which a loaded machine gets through what takes a quiet one a few."""


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[WholeService]:
    """Everything on this machine; trainings write a checkpoint five times a second."""
    rng = np.random.default_rng(5)
    labels = np.arange(ROWS) % 3
    np.savez(
        tmp_path / "tiny.npz",
        clean=(labels[:, None] + rng.normal(size=(ROWS, 6))).astype(np.float32),
        noisy=rng.normal(size=(ROWS, 20)).astype(np.float32),
        y=labels,
        part=np.array((["train"] * 18 + ["validation", "test"]) * (ROWS // 20)),
    )
    service = WholeService(tmp_path, environment={"GBLEND_ENGINE__CHECKPOINT_SECONDS": "0.2"})
    service.start_api("up")
    yield service
    service.close()


def test_a_kill_and_a_pause_within_an_epoch_cost_no_more_than_an_interval(whole: WholeService, tmp_path: Path) -> None:
    job_id = whole.submit(_one_epoch())
    attempts = tmp_path / "state" / "runs" / job_id
    killed = _wait_for_step(attempts / "1", 1)
    (child,) = whole.training_pids(job_id)
    os.kill(child, signal.SIGKILL)

    paused = _wait_for_step(attempts / "2", killed + 1)
    assert whole.client.post(f"/v1/jobs/{job_id}/pause").status_code == 202
    wait_until(lambda: whole.get(f"/v1/jobs/{job_id}")["status"] == "paused", "the job to be paused", seconds=LONG)
    assert whole.every(f"/v1/jobs/{job_id}/metrics") == [], "the epoch is not over"
    last = _newest(attempts / "2")
    assert whole.client.post(f"/v1/jobs/{job_id}/resume").json()["status"] == "queued"
    third = attempts / "3" / "child.log"
    wait_until(lambda: _resumed_at(third) is not None, "the third attempt to go on", seconds=LONG)
    second = _resumed_at(attempts / "2" / "child.log")
    assert second is not None
    assert killed <= second < paused <= last
    assert _resumed_at(third) == last

    undisturbed = whole.submit(_one_epoch())
    ended, other = whole.wait_until_ended(job_id, undisturbed)
    assert (ended["status"], ended["attempt"]) == ("succeeded", 3), ended
    assert (other["status"], other["attempt"]) == ("succeeded", 1), other
    assert whole.history(job_id) == whole.history(undisturbed)


def _one_epoch() -> dict[str, Any]:
    """A thousand batches: some seconds."""
    training = {"batch_size": 4, "fine_tune": {"enabled": False}}
    return tiny_spec({"strategy": "equal"}, epochs=1, dropout=0.3, training=training)


def _newest(attempt: Path) -> int:
    """How many steps of the epoch its newest checkpoint knows of; 0 before there is one within the epoch."""
    names = [path.name for path in attempt.glob("checkpoints/[0-9]*")]
    return max((int(name.split(".")[1]) for name in names if "." in name), default=0)


def _wait_for_step(attempt: Path, step: int) -> int:
    """The newest checkpoint within the epoch, once there is one of this step or a later one."""
    wait_until(lambda: _newest(attempt) >= step, f"a checkpoint of step {step}", seconds=LONG, every=0.02)
    return _newest(attempt)


def _resumed_at(log: Path) -> int | None:
    """The step that an attempt went on from; `None` before it has."""
    told = (
        re.search(r"going on from checkpoint \d+, (\d+) steps into a pass", log.read_text()) if log.exists() else None
    )
    return None if told is None else int(told[1])
