"""A whole training of pretrained models, as a process of its own, and what it leaves without their folders."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from core.data.hub_access import HubAccess
from core.spec import JobSpec
from core.training.drive import EXIT_FAILED
from core.training.saved import load_saved
from tests.hub_server import COMMIT, HubServer
from tests.integration.training.conftest import alone, events, parameters, together
from tests.tuned import tuned_spec, write_tuned

ROOT = Path(__file__).parents[3]


def made(folder: Path, raw: dict[str, Any], roots: dict[str, Path], access: HubAccess | None = None) -> Path:
    """A run directory with its `spec.json`."""
    folder.mkdir()
    request = {
        "job_id": "job_1",
        "spec": JobSpec.model_validate(raw).resolved(),
        "roots": {name: str(path) for name, path in roots.items()},
        "resume_from": [],
        **({} if access is None else {"hub": access.to_json()}),
    }
    (folder / "spec.json").write_text(json.dumps(request))
    return folder


def started(run: Path) -> subprocess.CompletedProcess[str]:
    """The training of a run directory, when it has ended."""
    command = [sys.executable, "-m", "core.training", "--run-dir", str(run)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("trainable", ["last_n:1", "all"])
def test_a_job_learns_and_its_model_answers_alone(tmp_path: Path, trainable: str) -> None:
    roots = write_tuned(tmp_path / "data", rows=72)
    training = {"epochs": 6, "batch_size": 8, "optimizer": {"type": "adam", "lr": 0.01}}
    raw = tuned_spec(("words", "face", "voice"), trainable=trainable, training=training)
    raw["blending"]["super_epochs"] = {"first": 3, "later": 3}
    run = made(tmp_path / "run", raw, roots)
    done = started(run)
    assert done.returncode == 0, done.stderr
    assert "inputs of 'face': 72 of 72" in done.stderr
    metrics = json.loads((run / "artifacts" / "metrics.json").read_text())
    heads = {row["head"]: row["accuracy"] for row in metrics["test"]}
    assert heads["words"] == 1.0, "each class has its own texts"
    clips = roots["data"] / "clips"
    sample = {
        "words": "good red cat w1",
        "face": (clips / "0.png").read_bytes(),
        "voice": (clips / "0.wav").read_bytes(),
    }
    shutil.rmtree(roots["data"])  # the models with it
    saved = load_saved(run / "artifacts")
    said = saved.module(saved.inputs(sample), ["words"])["words"]
    assert saved.card["classes"][int(torch.argmax(said))] == "a"


def test_two_processes_give_the_numbers_of_one(tmp_path: Path) -> None:
    """Batches of one leave a process without a row, and frozen parameters have no gradient anywhere."""
    roots = write_tuned(tmp_path / "data")
    config = roots["models"] / "bert" / "config.json"
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # each process has its own randomness
    config.write_text(json.dumps(json.loads(config.read_text()) | off))
    training = {"epochs": 2, "batch_size": 1, "optimizer": {"type": "sgd", "lr": 0.01}}
    raw = tuned_spec(trainable="last_n:1", missing="mask", training=training)
    runs = [made(tmp_path / name, raw, roots) for name in ("one", "two")]
    alone(runs[:1])
    together(runs[1:], 2)
    assert [event["type"] for event in events(runs[0])] == [event["type"] for event in events(runs[1])]
    expected, found = map(parameters, runs)
    for tensor, values in expected.items():
        assert torch.allclose(found[tensor], values, rtol=1e-3, atol=1e-5), tensor


def test_a_model_of_the_hub_is_trained(tmp_path: Path) -> None:
    """To the bit as the same files below `models://`; what it leaves needs neither."""
    roots = write_tuned(tmp_path / "data")
    (tmp_path / "served" / "acme").mkdir(parents=True)
    shutil.copytree(roots["models"] / "bert", tmp_path / "served" / "acme" / "bert")
    server = HubServer(tmp_path / "served")
    server.start()
    access = HubAccess(allowed=("acme/*",), folder=tmp_path / "kept", endpoint=server.endpoint)
    local = tuned_spec()
    hub = tuned_spec()
    encoder = hub["dataset"]["modalities"][0]["encoder"]
    del encoder["path"]
    encoder |= {"hub": "acme/bert", "revision": COMMIT}
    runs = [made(tmp_path / "local", local, roots), made(tmp_path / "hub", hub, roots, access)]
    for run in runs:
        done = started(run)
        assert done.returncode == 0, done.stderr
    server.stop()
    expected, found = map(parameters, runs)
    assert {name for name in expected if name.startswith("encoder_words.")} != set()
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert server.asked["GET model.safetensors"] == 1
    shutil.rmtree(tmp_path / "kept")
    shutil.rmtree(roots["models"] / "bert")
    saved = load_saved(runs[1] / "artifacts")
    face = (roots["data"] / "clips" / "0.png").read_bytes()
    said = saved.module(saved.inputs({"words": "good red cat", "face": face}), ["words"])["words"]
    assert torch.isfinite(said).all()


def test_a_model_of_the_hub_with_too_few_blocks_is_refused_before_its_weights_come(tmp_path: Path) -> None:
    roots = write_tuned(tmp_path / "data")
    (tmp_path / "served" / "acme").mkdir(parents=True)
    shutil.copytree(roots["models"] / "bert", tmp_path / "served" / "acme" / "bert")
    server = HubServer(tmp_path / "served")
    server.start()
    access = HubAccess(allowed=("acme/*",), folder=tmp_path / "kept", endpoint=server.endpoint)
    raw = tuned_spec()
    encoder = raw["dataset"]["modalities"][0]["encoder"]
    del encoder["path"]
    encoder |= {"hub": "acme/bert", "revision": COMMIT, "trainable": "last_n:3"}
    run = made(tmp_path / "run", raw, roots, access)
    done = started(run)
    server.stop()
    assert done.returncode == EXIT_FAILED, done.stderr
    (failed,) = events(run)
    assert [(error["code"], error["pointer"]) for error in failed["errors"]] == [
        ("encoder.blocks", "#/dataset/modalities/0/encoder/trainable")
    ]
    assert server.asked["GET model.safetensors"] == 0
