"""Submit over HTTP, train for real, kill whoever works: the job ends with the history of an undisturbed one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.whole.service import WholeService
from tests.servers import wait_until
from tests.tiny import tiny_spec, write_tiny

pytestmark = pytest.mark.timeout(500)

LONG = 45
"""Epochs of a job that is still training when it is killed."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., WholeService]]:
    """Makes deployments over the tiny data set; ends them."""
    made: list[WholeService] = []
    write_tiny(tmp_path)

    def make(**environment: str) -> WholeService:
        made.append(WholeService(tmp_path, environment=environment))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_postgresql_redis_and_two_workers_survive_kills_bit_for_bit(
    service: Callable[..., WholeService], postgres_url: str, redis_url: str
) -> None:
    whole = service(GBLEND_DATABASE__URL=postgres_url, GBLEND_BROKER__URL=redis_url)
    whole.start_api()
    workers = [whole.start("worker"), whole.start("worker")]
    spec = tiny_spec(epochs=LONG, dropout=0.3)

    undisturbed = whole.submit(spec)
    (ended,) = whole.wait_until_ended(undisturbed)
    assert (ended["status"], ended["attempt"]) == ("succeeded", 1), ended

    killed = whole.submit(spec)
    whole.wait_for_events(killed, "epoch.completed", 3)
    for process in workers:  # whichever of the two has it
        os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not whole.training_pids(killed), "the training to end with its worker")
    whole.start("worker")
    whole.wait_for_events(killed, "epoch.completed", 12)
    (child,) = whole.training_pids(killed)
    os.kill(child, signal.SIGKILL)
    (ended,) = whole.wait_until_ended(killed)

    assert ended["status"] == "succeeded", ended
    assert ended["attempt"] == 3
    assert whole.history(killed) == whole.history(undisturbed)
    assert len(whole.history(killed)["super_epochs"]) == LONG - 1
    assert len(whole.history(killed)["metrics"]) > LONG * 4 * 3


def test_eight_jobs_at_once_over_two_workers_all_end_and_none_runs_twice(
    service: Callable[..., WholeService], postgres_url: str, redis_url: str
) -> None:
    """Real trainings; `tests/integration/engine/test_workers.py` has twenty quick ones."""
    whole = service(GBLEND_DATABASE__URL=postgres_url, GBLEND_BROKER__URL=redis_url)
    whole.start_api()
    whole.start("worker")
    whole.start("worker")
    job_ids = [whole.submit(tiny_spec({"strategy": "equal"}, epochs=1)) for _ in range(8)]
    ended = whole.wait_until_ended(*job_ids)
    assert [job["status"] for job in ended] == ["succeeded"] * 8
    assert [job["attempt"] for job in ended] == [1] * 8
    histories = [whole.history(job_id) for job_id in job_ids]
    assert all(history == histories[0] for history in histories)
    for job in ended:
        assert [change["status"] for change in job["transitions"]] == ["queued", "starting", "running", "succeeded"]
    owners = {line for line in whole.log().splitlines() if '"unit claimed"' in line}
    assert len(owners) == 8, "each unit was claimed once"


def test_the_embedded_service_survives_the_kill_of_its_worker(service: Callable[..., WholeService]) -> None:
    whole = service()
    up = whole.start_api("up")
    spec = tiny_spec(epochs=LONG, dropout=0.3)
    undisturbed = whole.submit(spec)
    whole.wait_until_ended(undisturbed)

    killed = whole.submit(spec)
    whole.wait_for_events(killed, "epoch.completed", 3)
    (child,) = whole.training_pids(killed)
    worker = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(worker, signal.SIGKILL)
    (ended,) = whole.wait_until_ended(killed)
    assert ended["status"] == "succeeded", ended
    assert ended["attempt"] == 2
    assert whole.history(killed) == whole.history(undisturbed)

    up.send_signal(signal.SIGINT)
    assert up.wait(30) in (0, 130)


def test_cancelling_stops_a_real_training(service: Callable[..., WholeService]) -> None:
    whole = service()
    whole.start_api("up")
    job_id = whole.submit(tiny_spec(epochs=5000))
    whole.wait_for_events(job_id, "epoch.completed", 1)
    response = whole.client.post(f"/v1/jobs/{job_id}/cancel")
    assert response.status_code in (200, 202)
    (ended,) = whole.wait_until_ended(job_id)
    assert ended["status"] == "cancelled"
    wait_until(lambda: not whole.training_pids(job_id), "the training process to be gone")


def test_contents_that_only_training_sees_fail_the_job_and_the_service_goes_on(
    service: Callable[..., WholeService], tmp_path: Path
) -> None:
    whole = service()
    whole.start_api("up")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing that a decoder could use")
    rows = "".join(f"s{n},{n % 2},bad.png,{n}\n" for n in range(40))
    (tmp_path / "bad.csv").write_text(f"id,label,image,size\n{rows}")
    bad = whole.submit(
        {
            "dataset": {
                "source": {"type": "manifest", "uri": "data://bad.csv"},
                "sample_id": "id",
                "target": {"column": "label"},
                "modalities": [
                    {"name": "image", "type": "image", "column": "image"},
                    {"name": "table", "type": "tabular", "columns": [{"name": "size", "type": "number"}]},
                ],
            },
            "training": {"epochs": 1},
        }
    )
    good = whole.submit(tiny_spec(epochs=1))
    failed, succeeded = whole.wait_until_ended(bad, good)
    assert failed["status"] == "failed"
    assert failed["attempt"] == 1, "bad data are not tried again"
    (problem,) = failed["error"]["errors"]
    assert problem["pointer"] == "#/dataset/modalities/0/column"
    assert problem["count"] == 40
    assert succeeded["status"] == "succeeded"
