"""Two workers on two machines (two state folders), PostgreSQL, Redis and S3: one machine is lost, disk and all."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e.whole.service import WholeService
from tests.s3_server import S3_KEY, S3_SECRET, S3Server
from tests.servers import wait_until
from tests.tiny import tiny_spec, write_tiny

pytestmark = pytest.mark.timeout(300)


def test_a_job_goes_on_from_the_shared_checkpoint_when_its_machine_is_lost(
    postgres_url: str, redis_url: str, s3_server: S3Server, tmp_path: Path
) -> None:
    write_tiny(tmp_path)
    whole = WholeService(
        tmp_path,
        environment={
            "GBLEND_DATABASE__URL": postgres_url,
            "GBLEND_BROKER__URL": redis_url,
            "GBLEND_ARTIFACTS__URL": f"s3://{s3_server.BUCKET}/deployment",
            **s3_server.environment,
        },
    )
    try:
        whole.start_api()
        first = whole.start("worker", environment={"GBLEND_STATE_DIR": str(tmp_path / "machine-1")})
        spec = tiny_spec(epochs=40, dropout=0.3)
        job_id = whole.submit(spec)
        path = f"/v1/jobs/{job_id}/checkpoints"
        wait_until(lambda: len(whole.get(path)["data"]) >= 1, "a shared checkpoint", seconds=120, every=0.02)
        (child,) = whole.training_pids(job_id)
        environment = Path(f"/proc/{child}/environ").read_text()
        assert S3_SECRET not in environment
        assert S3_KEY not in environment

        os.kill(first.pid, signal.SIGKILL)
        wait_until(lambda: not whole.training_pids(job_id), "the training to end with its worker")
        shutil.rmtree(tmp_path / "machine-1")
        shared = [(row["fence"], row["name"]) for row in whole.get(path)["data"]]
        whole.start("worker", environment={"GBLEND_STATE_DIR": str(tmp_path / "machine-2")})
        wait_until(lambda: whole.get(f"/v1/jobs/{job_id}")["attempt"] == 2, "the second attempt", seconds=60)
        log = tmp_path / "machine-2" / "runs" / job_id / "2" / "child.log"
        wait_until(lambda: log.exists() and "going on from checkpoint" in log.read_text(), "the checkpoint to be used")
        said = log.read_text()
        assert f"going on from checkpoint {int(shared[0][1].split('.')[0])}" in said, (said, shared)

        undisturbed = whole.submit(spec)
        ended, other = whole.wait_until_ended(job_id, undisturbed)
        assert (ended["status"], ended["attempt"]) == ("succeeded", 2), (ended, whole.log())
        assert (other["status"], other["attempt"]) == ("succeeded", 1), other
        assert whole.history(job_id) == whole.history(undisturbed)
        wait_until(
            lambda: not [key for key in s3_server.stored() if "/checkpoints/" in key], "checkpoints to be removed"
        )
        assert whole.get(path)["data"] == []
        files = whole.get(f"/v1/jobs/{job_id}/artifacts")["data"]
        found = {key.removeprefix("deployment/jobs/").split("/", 2)[2] for key in s3_server.stored() if job_id in key}
        assert found == {file["name"] for file in files}
        model = next(file for file in files if file["name"] == "model.safetensors")
        part = whole.client.get(model["href"], headers={"Range": "bytes=8-15"})
        assert (part.status_code, len(part.content)) == (206, 8)
        assert whole.client.get(model["href"]).content[8:16] == part.content
        assert S3_SECRET not in whole.log()
    finally:
        whole.close()
