"""A whole training over features of a frozen model: as a process of its own, once, and again from what was kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.spec import JobSpec
from tests import tiny_models

ROOT = Path(__file__).parents[3]


def spec(seed: int) -> dict[str, Any]:
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
                    "encoder": {"type": "transformers", "path": "models://bert", "features": 16},
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


def train(folder: Path, name: str, seed: int) -> tuple[str, dict[str, Any]]:
    """Log and metrics of a run."""
    run = folder / name
    run.mkdir()
    request = {
        "job_id": "job_1",
        "spec": spec(seed),
        "roots": {"data": str(folder), "models": str(folder)},
        "features": str(folder / "features"),
        "features_bytes": 2**30,
        "resume_from": [],
    }
    (run / "spec.json").write_text(json.dumps(request))
    command = [sys.executable, "-m", "core.training", "--run-dir", str(run)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    return done.stderr, json.loads((run / "artifacts" / "metrics.json").read_text())


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
