"""A real service and a real job: its lines are JSON and say whose they are; the job's own log tells its story."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
from gblend_client import Gblend
from gblend_client.cli import app as command
from typer.testing import CliRunner

from tests.tiny import tiny_spec, write_tiny

ROOT = Path(__file__).parents[3]
SECONDS = 120.0
SECRET = "hunter2"
"""The database's password (any will do there): in the environment, where a careless line could find it."""


def test_a_job_is_told_of_in_three_places(tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "data").mkdir()
    write_tiny(tmp_path / "data")
    own = {name: value for name, value in os.environ.items() if not name.startswith("GBLEND_")}
    with (tmp_path / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "up", "--port", "0", "--workers", "1", "--state-dir", str(tmp_path)],
            cwd=ROOT,
            env={**own, "GBLEND_DATABASE__URL": postgres_url.replace("gblend@", f"gblend:{SECRET}@")},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        assert ready.startswith("gblend: ready at"), (tmp_path / "stderr").read_text()
        url = ready.split()[-1]
        with Gblend(url) as gblend:
            job = gblend.jobs.submit(tiny_spec(epochs=2))
            chunks = list(gblend.jobs.stream_logs(job.id))
            assert gblend.jobs.get(job.id).status == "succeeded"
            assert chunks == list(gblend.jobs.logs(job.id))
        taken = httpx.get(f"{url}/v1/jobs/{job.id}", headers={"X-Request-ID": "mine-1"})
        assert taken.headers["x-request-id"] == "mine-1"
        given = httpx.get(f"{url}/v1/jobs/{job.id}", headers={"X-Request-ID": "not mine"})
        assert re.fullmatch(r"req_[0-9a-f]{24}", given.headers["x-request-id"])
        shown = CliRunner().invoke(command, ["logs", job.id, "--tail", "3", "--url", url], catch_exceptions=False)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)
        process.stdout.close()

    # What the training printed
    text = "".join(chunk.text for chunk in chunks)
    lines = text.splitlines()
    form = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING) +\S.*")
    assert [line for line in lines if not form.fullmatch(line)] == []
    told = [line.split(maxsplit=2)[2] for line in lines]
    assert told[0] == "the training process starts"
    assert "there is no checkpoint; the run begins at its beginning" in told
    assert any(line.startswith("Weights of super-epoch 1: ") for line in told)
    assert [line.partition(" is over")[0] for line in told if line.startswith("Epoch")] == ["Epoch 1", "Epoch 2"]
    assert told[-1].startswith("The training is complete")
    assert shown.stdout.splitlines() == lines[-3:]

    # What the processes logged
    logged = [json.loads(line) for line in (tmp_path / "stderr").read_text().splitlines()]
    assert all({"timestamp", "level", "logger", "event"} <= set(line) for line in logged)
    work = [line for line in logged if line["logger"].startswith("worker.") and line["event"] != "Task"]
    of_job = [line for line in work if line.get("job_id") == job.id]
    assert {"unit claimed", "the training process ended", "job succeeded"} <= {line["event"] for line in of_job}
    assert {line["fence"] for line in of_job} == {1}
    assert len({line["unit_id"] for line in of_job}) == 1
    assert {line["worker"][:4] for line in of_job} == {"wrk_"}
    access = [line for line in logged if line["logger"] == "gblend.access"]
    assert [line["request_id"] for line in access if line["request_id"] == "mine-1"] == ["mine-1"]
    assert all(line["request_id"] and line["path"] and line["status"] for line in access)

    # Nobody told the secret
    assert SECRET not in text + (tmp_path / "stderr").read_text()
