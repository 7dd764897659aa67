"""A whole training over features of a frozen model: as a process of its own, once, and again from what was kept."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.data.hub_access import HubAccess
from core.events import Progress
from core.spec import JobSpec
from tests import tiny_models
from tests.hub_server import COMMIT, HubServer
from tests.servers import wait_until

ROOT = Path(__file__).parents[3]


def spec(seed: int, **encoder: str) -> dict[str, Any]:
    raw = {
        "seed": seed,
        "dataset": {
            "source": {"type": "manifest", "uri": "data://t.csv"},
            "target": {"column": "label"},
            "modalities": [
                {
                    "name": "words",
                    "type": "text",
                    "column": "words",
                    "encoder": {"type": "transformers", "features": 16, **(encoder or {"path": "models://bert"})},
                },
                {"name": "numbers", "type": "tabular", "columns": [{"name": "x", "type": "number"}]},
            ],
        },
        "blending": {"strategy": "online", "super_epochs": {"first": 6, "later": 6}},
        "training": {"epochs": 12, "batch_size": 16, "optimizer": {"type": "adam", "lr": 0.01}},
    }
    return JobSpec.model_validate(raw).resolved()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = ["words,x,label"]
    rows += [
        f"{('good', 'bad')[i % 2]} {('cat', 'dog', 'red', 'blue')[i % 4]} w{i % 24},{i % 7},{'ab'[i % 2]}"
        for i in range(120)
    ]
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "bert").mkdir()
    tiny_models.bert(tmp_path / "bert")
    return tmp_path


def start(folder: Path, name: str, seed: int, access: HubAccess | None = None, **encoder: str) -> subprocess.Popen[str]:
    run = folder / name
    run.mkdir()
    request = {
        "job_id": "job_1",
        "spec": spec(seed, **encoder),
        **({} if access is None else {"hub": access.to_json()}),
        "roots": {"data": str(folder), "models": str(folder)},
        "features": str(folder / "features"),
        "features_bytes": 2**30,
        "resume_from": [],
    }
    (run / "spec.json").write_text(json.dumps(request))
    command = [sys.executable, "-m", "core.training", "--run-dir", str(run)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def train(folder: Path, name: str, seed: int) -> tuple[str, dict[str, Any]]:
    """Log and metrics of a run."""
    with start(folder, name, seed) as process:
        _, log = process.communicate(timeout=150)
    assert process.returncode == 0, log
    run = folder / name
    return log, json.loads((run / "artifacts" / "metrics.json").read_text())


def test_a_second_job_with_another_seed_computes_no_feature(folder: Path) -> None:
    log, metrics = train(folder, "first", seed=0)
    assert "features of 'words': 24 of 24 samples to compute" in log
    heads = {row["head"]: row["accuracy"] for row in metrics["test"]}
    assert heads["words"] > 0.8, "the model is random, but its features tell one word from another"
    again, _ = train(folder, "second", seed=1)
    assert "to compute" not in again
    card = json.loads((folder / "second" / "artifacts" / "model.json").read_text())
    assert card["preprocessing"]["words"]["frozen"]["kind"] == "text"
    assert len(card["preprocessing"]["words"]["frozen"]["digest"]) == 64
    assert card["modalities"]["words"]["kind"] == "embedding"


def test_one_that_waits_for_anothers_features_says_so_again_and_again(folder: Path) -> None:
    """What a supervisor looks at changes meanwhile: it does not take the training for one that hangs."""
    train(folder, "first", seed=0)
    (lock,) = (folder / "features").glob("*.lock")
    shutil.rmtree(lock.with_suffix(""))
    path = folder / "second" / "progress.json"
    told: list[Progress] = []

    def look() -> bool:
        if path.exists():
            told.append(Progress.model_validate_json(path.read_bytes()))
        return len({progress.updated_at for progress in told}) >= 3

    with lock.open("rb") as held, start(folder, "second", seed=1) as process:
        fcntl.flock(held, fcntl.LOCK_EX)
        wait_until(look, "progress to be told several times")
        assert {progress.phase for progress in told} == {"encoding"}
        assert {progress.detail for progress in told} == {"features of 'words': another process computes them"}
        fcntl.flock(held, fcntl.LOCK_UN)
        _, log = process.communicate(timeout=150)
    assert process.returncode == 0, log
    assert "features of 'words': 24 of 24 samples to compute" in log


def test_a_model_of_the_hub_and_a_hub_that_is_away(folder: Path) -> None:
    """Away: exit status 74, no event, and a file that says what could not be reached; then all is well."""
    served = folder / "served" / "acme" / "bert"
    served.mkdir(parents=True)
    tiny_models.bert(served)
    server = HubServer(folder / "served")
    server.start()
    access = HubAccess(allowed=("acme/*",), folder=folder / "kept", endpoint=server.endpoint)
    server.faults.status = {"api": [503] * 4}
    for name, code in (("away", 74), ("there", 0)):
        with start(folder, name, 0, access, hub="acme/bert", revision=COMMIT) as process:
            _, log = process.communicate(timeout=150)
        assert process.returncode == code, log
    server.stop()
    failure = json.loads((folder / "away" / "failure.json").read_text())
    (issue,) = failure["errors"]
    assert (failure["code"], issue["pointer"]) == ("encoder.unreachable", "#/dataset/modalities/0/encoder/hub")
    assert not (folder / "away" / "events.jsonl").exists()
    assert not (folder / "there" / "failure.json").exists()
