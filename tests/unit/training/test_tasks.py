"""Every type of target through the one loop, from the data to the card."""

import json

import numpy as np
import pytest

from core.data.dataset import prepare
from core.spec import JobSpec
from core.training.run import run
from core.training.session import Session
from tests.tiny import ONLINE, tiny_task_spec, write_tiny_tasks
from tests.unit.training.conftest import CPU

PRIMARY = {
    "multiclass": "accuracy",
    "binary": "accuracy",
    "multilabel": "mean_average_precision",
    "regression": "r2",
}


@pytest.fixture(scope="module")
def task_roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    write_tiny_tasks(folder)
    return {"data": folder}


@pytest.fixture
def train(task_roots, make_meter, tmp_path):
    """Runs a task to its end and returns (session, events)."""

    def go(task, blending=None, roots=task_roots, **parts):
        spec = JobSpec.model_validate(tiny_task_spec(task, blending or ONLINE, **parts))
        session = Session(spec, prepare(spec, roots), CPU)
        return session, list(run(session, make_meter(session), tmp_path))

    return go


def of(measurements, head):
    return next(found for found in measurements if found.head == head)


@pytest.mark.parametrize("task", PRIMARY)
def test_a_whole_run(train, tmp_path, task):
    session, events = train(task, epochs=3)
    started, completed = events[0], events[-1]
    assert (started.task, started.metric, completed.metric) == (task, PRIMARY[task], PRIMARY[task])
    weights = [event for event in events if event.type == "super_epoch.weights"]
    assert len(weights) == 2
    for event in weights:
        assert sum(head.weight for head in event.heads) == pytest.approx(1.0)
        assert all(head.G is not None and head.G_se > 0.0 for head in event.heads)
    for measured in (found for event in events if event.type == "epoch.completed" for found in event.measurements):
        assert measured.score == measured.metrics[PRIMARY[task]]
        assert (measured.score_se is None) == (PRIMARY[task] != "accuracy")
    answered = of(completed.test, completed.answer)
    assert (completed.test_score, completed.test_score_se) == (answered.score, answered.score_se)
    assert completed.test_score_se > 0.0
    assert completed.test_accuracy == (answered.score if PRIMARY[task] == "accuracy" else None)
    assert answered.score > of(completed.test, "noisy").score
    card = json.loads((tmp_path / "artifacts" / "model.json").read_text())
    assert (card["task"], card["metric"]) == (task, PRIMARY[task])
    assert card["classes"] == list(session.data.classes)
    assert (card["target_scale"] is not None) == (task == "regression")


def test_a_regression_is_reported_in_the_targets_unit(train, tmp_path):
    session, events = train("regression", {"strategy": "naive"}, epochs=8)
    scale = session.data.target_scale
    with np.load(write_tiny_tasks(tmp_path)) as arrays:
        height = arrays["height"]
    train_rows = height[session.data.split.train]
    assert (scale.mean, scale.scale) == pytest.approx((train_rows.mean(), train_rows.std()))
    card = json.loads((tmp_path / "artifacts" / "model.json").read_text())
    assert card["target_scale"] == {"mean": scale.mean, "scale": scale.scale}
    found = of(events[-1].test, "fused")
    assert found.metrics["rmse"] == pytest.approx(scale.scale * np.sqrt(found.loss))
    test_rows = height[session.data.split.test]
    assert found.score == pytest.approx(1.0 - (found.metrics["rmse"] / test_rows.std()) ** 2)
    assert found.score > 0.5


def test_the_unit_of_a_target_changes_no_weight(train, tmp_path):
    """A common factor of all losses cancels in the weights, and standardising leaves not even the factor."""
    with np.load(write_tiny_tasks(tmp_path)) as made:
        arrays = dict(made)
    np.savez(tmp_path / "tasks.npz", **arrays | {"height": 1000.0 * arrays["height"] - 7.0})
    _, metres = train("regression", epochs=3)
    _, millimetres = train("regression", epochs=3, roots={"data": tmp_path})
    for one, other in zip(metres, millimetres, strict=True):
        if one.type == "super_epoch.weights":
            assert {head.head: head.weight for head in one.heads} == pytest.approx(
                {head.head: head.weight for head in other.heads}, abs=1e-4
            )


def test_class_weights_and_smoothing_are_trained_and_measured_alike(train, tmp_path):
    loss = {"class_weights": "balanced", "label_smoothing": 0.1}
    parts = {"epochs": 2, "training": {"loss": loss, "fine_tune": {"enabled": False}}}
    session, events = train("binary", {"strategy": "naive"}, **parts)
    card = json.loads((tmp_path / "artifacts" / "model.json").read_text())
    assert set(card["class_weights"]) == {"no", "yes"}
    rows = session.data.split.train
    whole = next(iter(session.batches.in_order(rows)))
    session.model.eval()
    outputs = session.model(whole.inputs, ["fused"])["fused"]
    trained_on = session.objective.loss(outputs, whole.targets).item()
    last = next(event for event in reversed(events) if event.type == "epoch.completed")
    assert of([m for m in last.measurements if m.split == "train"], "fused").loss == pytest.approx(trained_on, rel=1e-5)
    # A rare class that weighs as much as the other is told more often than by a plain run.
    _, plain = train("binary", {"strategy": "naive"}, epochs=2, training={"fine_tune": {"enabled": False}})
    recall = [of(each[-1].test, "fused").metrics["balanced_accuracy"] for each in (events, plain)]
    assert recall[0] > recall[1]


def test_a_multilabel_run_says_which_labels_there_are(train):
    session, events = train("multilabel", {"strategy": "equal"}, epochs=1)
    assert events[0].classes == session.data.classes == ("0", "1", "2", "3")
    assert session.data.targets.shape == (160, 4)
    assert session.model.head("fused").layers[-1].out_features == 4
    assert {found.accuracy for found in events[-1].test} == {None}
