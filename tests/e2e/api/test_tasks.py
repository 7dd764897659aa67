"""Jobs that predict labels or a number: submitted over HTTP, really trained, read over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from core.data.dataset import prepare
from core.events import JournalEntry, RunCompleted
from core.spec import JobSpec
from core.training.plan import planned_samples
from core.training.progress import ProgressMeter
from core.training.run import run
from core.training.session import Session
from tests.e2e.api.live import LiveApi, toy_spec
from tests.tiny import tiny_task_spec, write_tiny_tasks

METRICS = {"multilabel": ["mean_average_precision", "auc"], "regression": ["r2", "rmse", "mae"]}


def trained(api: LiveApi, job: dict[str, Any], run_dir: Path) -> RunCompleted:
    """What a worker does: claims the job, trains it from the spec that the service stored, records what it tells."""
    lease = api.claim(job["id"])
    spec = JobSpec.model_validate(job["spec"])
    session = Session(spec, prepare(spec, {"data": api.settings.state_dir / "data"}), torch.device("cpu"))
    meter = ProgressMeter(
        run_dir, total=planned_samples(session), done=0, epochs=spec.training.epochs, should_stop=lambda: False
    )
    events = list(run(session, meter, run_dir))
    api.units.record(lease, [JournalEntry(number=number, event=event) for number, event in enumerate(events, start=1)])
    completed = events[-1]
    assert isinstance(completed, RunCompleted)
    api.units.succeed(lease, completed, [])
    return completed


@pytest.mark.parametrize("task", METRICS)
def test_a_task_from_submission_to_its_metrics(api: LiveApi, tmp_path: Path, task: str) -> None:
    write_tiny_tasks(api.settings.state_dir / "data")
    job = api.submit(**tiny_task_spec(task, {"strategy": "equal"}, epochs=2))
    completed = trained(api, job, tmp_path)
    primary = METRICS[task][0]
    ended = api.client.get(f"/v1/jobs/{job['id']}").json()
    assert ended["status"] == "succeeded"
    result = ended["result"]
    assert (result["metric"], result["test_score"], result["test_accuracy"]) == (primary, completed.test_score, None)
    assert result["test_score_se"] > 0.0
    started = api.client.get(f"/v1/jobs/{job['id']}/events", params={"type": "run.started"}).json()["data"][0]["data"]
    assert (started["task"], started["metric"]) == (task, primary)

    def rows(**chosen: str) -> list[dict[str, Any]]:
        response = api.client.get(f"/v1/jobs/{job['id']}/metrics", params={"head": "fused", **chosen})
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json()["data"]
        return found

    test = {row["metric"]: row for row in rows(scope="test")}
    assert list(test) == ["loss", *METRICS[task]]
    fused = next(found for found in completed.test if found.head == "fused")
    assert {name: test[name]["value"] for name in METRICS[task]} == fused.metrics
    assert (test[primary]["se"], test[METRICS[task][1]]["se"]) == (fused.score_se, None)
    assert [row["epoch"] for row in rows(scope="epoch", split="train", metric=primary)] == [1, 2]
    assert rows(metric="accuracy") == []


@pytest.mark.parametrize(
    ("target", "loss", "pointer"),
    [
        ({"column": "weight", "type": "regression"}, {"label_smoothing": 0.1}, "#/training/loss/label_smoothing"),
        ({"column": "weight", "type": "regression"}, {"class_weights": "balanced"}, "#/training/loss/class_weights"),
        ({"column": "label"}, {"class_weights": {"yess": 2.0}}, "#/training/loss/class_weights/yess"),
        ({"column": "label", "type": "regression"}, {}, "#/dataset/target/column"),
    ],
)
def test_what_does_not_fit_the_target_is_told_with_its_place(
    api: LiveApi, target: dict[str, Any], loss: dict[str, Any], pointer: str
) -> None:
    spec = toy_spec(training={"loss": loss})
    spec["dataset"]["modalities"][1]["columns"] = spec["dataset"]["modalities"][1]["columns"][:1]
    spec["dataset"]["target"] = target
    response = api.client.post("/v1/jobs", json=spec)
    assert response.status_code == 422, response.text
    assert {error["pointer"] for error in response.json()["errors"]} == {pointer}
