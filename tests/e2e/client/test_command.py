"""The command `gblend` against the real API, and once through a real training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from gblend_client import Gblend

from tests.e2e.api.live import LiveApi, toy_spec
from tests.e2e.client.conftest import SECONDS, Run


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec file."""
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(toy_spec()))
    return path


def test_submit_look_watch_download(api: LiveApi, gblend: Gblend, run: Run, spec: Path, tmp_path: Path) -> None:
    done = run("submit", spec, "--set", "training.epochs=3", "--name", "by hand")
    assert done.exit_code == 0
    job_id = done.stdout.split()[0]
    assert gblend.jobs.get(job_id).spec["training"]["epochs"] == 3
    assert "by hand" in run("jobs").stdout
    api.finish(api.train(job_id), tmp_path)
    watched = run("watch", job_id)
    assert watched.exit_code == 0
    assert f"{job_id} succeeded" in watched.stdout
    assert "<- the answer" in watched.stdout
    lines = [json.loads(line) for line in run("watch", job_id, "--json").stdout.splitlines()]
    assert [line["seq"] for line in lines[:-1]] == list(range(1, 16))
    assert lines[-1] == json.loads(run("show", job_id, "--json").stdout)
    assert "super-epoch" in run("show", job_id).stdout
    assert len(json.loads(run("weights", job_id, "--json").stdout)["data"]) == 3
    assert run("download", job_id, "--dest", tmp_path / "out").stdout.split() == [str(tmp_path / "out" / "model.bin")]
    refused = run("cancel", job_id)
    assert refused.exit_code == 3
    assert "job.state" in refused.stderr


def test_a_refused_spec(run: Run, spec: Path) -> None:
    for option in ((), ("--validate-only",)):
        done = run("submit", spec, "--set", "dataset.target.column=lable", *option)
        assert done.exit_code == 3
        assert "#/dataset/target/column" in done.stderr
        assert "label" in done.stderr
    assert run("submit", spec, "--validate-only").exit_code == 0
    done = run("submit", spec, "--set", "trainnig.epochs=3")
    assert done.exit_code == 3
    assert "#/trainnig" in done.stderr
    assert "training" in done.stderr


def test_cancel_ends_a_watch_with_1(run: Run, spec: Path) -> None:
    job_id = json.loads(run("submit", spec, "--json").stdout)["id"]
    assert json.loads(run("cancel", job_id, "--json").stdout)["status"] == "cancelled"
    assert run("watch", job_id).exit_code == 1
    assert run("show", "job_nope").exit_code == 3


def test_a_real_training_watched_to_its_end(up: str, spec: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from gblend_client.cli import app; app()"]
    changes = ("--set", "training.epochs=2", "--set", "blending={strategy: offline}")
    done = subprocess.run(
        [*command, "submit", str(spec), "--watch", "--url", up, *changes],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    job_id = done.stdout.split()[0]
    assert f"{job_id} succeeded" in done.stdout
    assert "<- the answer" in done.stdout
    assert "\x1b" not in done.stdout
    with Gblend(up) as gblend:
        job = gblend.jobs.get(job_id)
        assert job.result is not None
        assert {row.head for row in job.result.test} >= {"look", "size", "fused"}
        (history,) = gblend.jobs.super_epochs(job_id)
        assert abs(sum(history.weights.values()) - 1.0) < 1e-6
        assert all(path.exists() for path in gblend.jobs.download(job_id, tmp_path / "out"))
