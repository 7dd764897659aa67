"""Sessions and run directories over the tiny data set."""

import json

import pytest
import torch

from core.data.dataset import prepare
from core.spec import JobSpec
from core.training.plan import planned_samples
from core.training.progress import ProgressMeter
from core.training.run import run
from core.training.session import Session
from tests.tiny import tiny_spec, write_tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def roots(tmp_path_factory):
    """The folder that `data://` means, with `tiny.npz` in it."""
    folder = tmp_path_factory.mktemp("data")
    write_tiny(folder)
    return {"data": folder, "models": folder}


@pytest.fixture
def make_spec():
    """A spec over `tiny.npz`; keyword arguments replace its top-level parts."""
    return lambda *arguments, **parts: JobSpec.model_validate(tiny_spec(*arguments, **parts))


@pytest.fixture
def open_session(roots):
    """Prepared data and a fresh model for a spec."""
    return lambda spec: Session(spec, prepare(spec, roots), CPU)


@pytest.fixture
def make_meter(tmp_path):
    """A progress meter that nobody stops."""

    def make(session, should_stop=lambda: False):
        return ProgressMeter(
            tmp_path,
            total=planned_samples(session),
            done=0,
            epochs=session.spec.training.epochs,
            should_stop=should_stop,
        )

    return make


@pytest.fixture
def make_run_dir(roots, tmp_path):
    """A run directory with its `spec.json`."""

    def make(spec, name="1", resume_from=()):
        run_dir = tmp_path / "runs" / name
        run_dir.mkdir(parents=True)
        request = {
            "job_id": "job_test",
            "spec": spec.resolved(),
            "roots": {scheme: str(path) for scheme, path in roots.items()},
            "resume_from": [str(path) for path in resume_from],
        }
        (run_dir / "spec.json").write_text(json.dumps(request))
        return run_dir

    return make


@pytest.fixture
def train(open_session, make_meter, tmp_path):
    """Runs a spec to its end and returns (session, events)."""

    def go(spec):
        session = open_session(spec)
        return session, list(run(session, make_meter(session), tmp_path))

    return go
