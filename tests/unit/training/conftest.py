"""A data set that trains in a second: two vectors per sample, one clean, one that only the training rows can learn."""

import json

import numpy as np
import pytest
import torch

from core.data.dataset import prepare
from core.spec import JobSpec
from core.training.progress import ProgressMeter
from core.training.session import Session, planned_samples

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def roots(tmp_path_factory):
    """The folder that `data://` means, with `tiny.npz` in it: 160 rows, 3 classes."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(5)
    labels = np.arange(160) % 3
    centres = rng.normal(size=(3, 6))
    np.savez(
        folder / "tiny.npz",
        clean=(centres[labels] + 0.8 * rng.normal(size=(160, 6))).astype(np.float32),
        noisy=rng.normal(size=(160, 20)).astype(np.float32),
        y=labels,
        part=np.array((["train"] * 7 + ["validation"] + ["test"] * 2) * 16),
    )
    return {"data": folder, "models": folder}


@pytest.fixture
def make_spec():
    """A spec over `tiny.npz`; keyword arguments replace its top-level parts."""

    def make(blending=None, *, epochs=4, training=None, dropout=0.0, **parts):
        return JobSpec.model_validate(
            {
                "seed": 3,
                "dataset": {
                    "source": {"type": "arrays", "uri": "data://tiny.npz"},
                    "target": {"column": "y"},
                    "modalities": [
                        {"name": name, "type": "embedding", "column": name, "encoder": {"features": 8}}
                        for name in ("noisy", "clean")
                    ],
                    "split": {"method": "column", "column": "part"},
                },
                "holdout": {"fraction": 0.25},
                "model": {"dropout": dropout},
                "blending": blending or {"strategy": "online", "super_epochs": {"first": 2, "later": 1}},
                "training": {
                    "epochs": epochs,
                    "batch_size": 16,
                    "optimizer": {"type": "adam", "lr": 0.01},
                    "fine_tune": {"epochs": 2},
                }
                | (training or {}),
                "runtime": {"device": "cpu"},
            }
            | parts
        )

    return make


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
