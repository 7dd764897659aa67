"""Run directories over the tiny data set, trained in one process or, by torchrun, in several."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch

from core.spec import JobSpec
from core.training.drive import EXIT_DONE, drive
from tests.integration.training.drive_all import never
from tests.tiny import tiny_spec, write_tiny_masked, write_tiny_tasks

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def roots(tmp_path_factory):
    """The folder that `data://` means, with `tiny.npz`, `tasks.npz` and `masked.parquet` in it."""
    folder = tmp_path_factory.mktemp("data")
    write_tiny_tasks(folder)
    write_tiny_masked(folder)
    return {"data": folder, "models": folder}


@pytest.fixture
def make_run_dir(roots, tmp_path):
    """A run directory with its `spec.json`; `spec` is a dictionary."""

    def make(name, spec, resume_from=()):
        run_dir = tmp_path / "runs" / name
        run_dir.mkdir(parents=True)
        request = {
            "job_id": "job_test",
            "spec": JobSpec.model_validate(spec).resolved(),
            "roots": {scheme: str(path) for scheme, path in roots.items()},
            "resume_from": [str(path) for path in resume_from],
        }
        (run_dir / "spec.json").write_text(json.dumps(request))
        return run_dir

    return make


def together(run_dirs, processes):
    """Trains these runs one after the other in so many processes."""
    options = ["--standalone", "--nnodes", "1", "--nproc-per-node", str(processes)]
    script = ["-m", "tests.integration.training.drive_all", *map(str, run_dirs)]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *options, *script],
        cwd=ROOT,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr.decode()[-6000:]


def alone(run_dirs):
    """Trains these runs in this process."""
    for run_dir in run_dirs:
        assert drive(run_dir, never) == EXIT_DONE


def events(run_dir):
    """The journal's events."""
    path = run_dir / "events.jsonl"
    return [json.loads(line)["event"] for line in path.read_bytes().splitlines()] if path.exists() else []


def parameters(run_dir):
    """The trained model's tensors."""
    return safetensors.torch.load_file(run_dir / "artifacts" / "model.safetensors")


__all__ = ["ROOT", "alone", "events", "parameters", "tiny_spec", "together"]
