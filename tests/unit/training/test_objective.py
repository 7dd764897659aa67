"""Losses, averages and evidence of every task by hand; the same function in training and in measuring."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from core.data.dataset import TargetScale, prepare
from core.spec import JobSpec
from core.spec.recipe import LossSpec
from core.training.objective import Binary, Multiclass, Multilabel, Regression, class_weights, objective_for
from tests.tiny import tiny_task_spec, write_tiny_tasks

LOG3 = math.log(3.0)
CPU = torch.device("cpu")


def logits(*rows):
    return torch.tensor(rows)


def close(values):
    return pytest.approx(values, rel=1e-6)


def test_without_options_the_loss_is_torchs_cross_entropy_to_the_bit():
    outputs, targets = torch.randn(64, 5, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 5
    outputs.requires_grad_()
    loss = Multiclass().loss(outputs, targets)
    plain = functional.cross_entropy(outputs, targets)
    assert torch.equal(loss, plain)
    assert torch.equal(*(torch.autograd.grad(value, outputs)[0] for value in (loss, plain)))
    measured = Multiclass().losses(outputs, targets)
    assert torch.equal(measured, functional.cross_entropy(outputs.double(), targets, reduction="none"))


def test_class_weights_multiply_and_means_are_plain():
    # Cross-entropies log 4/3, log 4, log 4/3 with the weights 0.5, 2, 0.5 of the targets' classes.
    objective = Multiclass(class_weights=torch.tensor([0.5, 2.0], dtype=torch.float64))
    outputs, targets = logits([LOG3, 0.0], [LOG3, 0.0], [LOG3, 0.0]), torch.tensor([0, 1, 0])
    expected = [0.5 * math.log(4 / 3), 2.0 * math.log(4), 0.5 * math.log(4 / 3)]
    assert objective.losses(outputs, targets).tolist() == close(expected)
    assert objective.loss(outputs, targets).item() == close(sum(expected) / 3)
    # torch's own mean divides by the weights of the batch: another function of each batch.
    alone = [objective.loss(outputs[row : row + 1], targets[row : row + 1]).item() for row in range(3)]
    assert alone == close(expected)
    theirs = functional.cross_entropy(outputs[:1], targets[:1], weight=torch.tensor([0.5, 2.0]))
    assert theirs.item() == close(math.log(4 / 3))


def test_label_smoothing_by_hand():
    # s = 0.2 over two classes: 0.9 for the target, 0.1 for the other; -log p are log 4/3 and log 4.
    outputs, targets = logits([LOG3, 0.0]), torch.tensor([0])
    expected = 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
    for kind in (Multiclass, Binary):
        objective = kind(label_smoothing=0.2)
        assert objective.losses(outputs, targets).tolist() == close([expected])
        assert objective.loss(outputs, targets).item() == close(expected)


def test_binary_tells_the_log_odds_of_the_second_class():
    evidence = Binary().evidence(logits([1.0, 3.0], [0.5, 0.0]), torch.tensor([1, 1]))
    assert evidence.tolist() == [[2.0, 1.0, 1.0], [-0.5, 0.0, 1.0]]
    assert Binary().metrics.hits(evidence.numpy()).tolist() == [True, False]


def test_multilabel_is_the_mean_over_labels():
    # p = 3/4 and 1/2; the sample has the first label and not the second.
    objective = Multilabel()
    outputs, targets = logits([LOG3, 0.0]), torch.tensor([[1.0, 0.0]])
    expected = (math.log(4 / 3) + math.log(2)) / 2
    assert objective.losses(outputs, targets).tolist() == close([expected])
    assert objective.loss(outputs, targets).item() == close(expected)
    smooth = Multilabel(label_smoothing=0.2)  # targets 0.9 and 0.1
    expected = (0.9 * math.log(4 / 3) + 0.1 * math.log(4) + math.log(2)) / 2
    assert smooth.losses(outputs, targets).tolist() == close([expected])


def test_multilabel_averages_probabilities():
    # 0.8 * 3/4 + 0.2 * 1/2 = 0.7 and 0.8 * 1/2 + 0.2 * 1/4 = 0.45; a head of weight 0 is not looked at.
    heads = {"a": logits([LOG3, 0.0]), "b": logits([0.0, -LOG3]), "c": logits([math.nan, math.nan])}
    averaged = Multilabel().average(heads, {"a": 0.8, "b": 0.2, "c": 0.0})
    assert averaged.dtype == torch.float64
    assert torch.sigmoid(averaged)[0].tolist() == close([0.7, 0.45])
    # Log-odds whose probability rounds to 1 keep their difference.
    certain = {"a": logits([60.0]), "b": logits([60.0])}
    assert Multilabel().average(certain, {"a": 0.5, "b": 0.5}).item() == close(60.0)


def test_regression_is_the_squared_error_and_reports_in_the_targets_unit():
    objective = Regression(TargetScale(mean=100.0, scale=10.0))
    outputs, targets = logits([0.5], [-1.0]), torch.tensor([1.5, -1.0], dtype=torch.float64)
    assert objective.losses(outputs, targets).tolist() == close([1.0, 0.0])
    assert objective.loss(outputs, targets).item() == close(0.5)
    assert objective.evidence(outputs, targets).tolist() == [[105.0, 115.0], [90.0, 90.0]]
    averaged = objective.average({"a": outputs, "b": logits([1.5], [0.0])}, {"a": 0.75, "b": 0.25})
    assert averaged[:, 0].tolist() == close([0.75, -0.75])


OBJECTIVES = {
    "weighted": Multiclass(class_weights=torch.tensor([0.4, 2.1, 0.9], dtype=torch.float64), label_smoothing=0.1),
    "smoothed": Multiclass(label_smoothing=0.3),
    "multilabel": Multilabel(label_smoothing=0.1),
    "regression": Regression(TargetScale(mean=3.0, scale=2.0)),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_batchs_loss_is_the_mean_of_the_measured_losses(name):
    """What G and O rest on: L is the mean over samples of one function, whatever the batches."""
    objective, random = OBJECTIVES[name], torch.Generator().manual_seed(1)
    outputs = torch.randn(30, 1 if name == "regression" else 3, generator=random)
    targets = {
        "multilabel": (torch.rand(30, 3, generator=random) < 0.5).float(),
        "regression": torch.randn(30, generator=random, dtype=torch.float64),
    }.get(name, torch.randint(0, 3, (30,), generator=random))
    losses = objective.losses(outputs, targets)
    assert losses.shape == (30,)
    assert losses.dtype == torch.float64
    for rows in (slice(0, 30), slice(0, 7), slice(29, 30)):
        assert objective.loss(outputs[rows], targets[rows]).item() == close(losses[rows].mean().item())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_pool_of_one_head_with_weight_one_is_that_head(name):
    objective, random = OBJECTIVES[name], torch.Generator().manual_seed(2)
    outputs = torch.randn(5, 1 if name == "regression" else 3, generator=random).double()
    pooled = objective.pool({"a": outputs}, {"a": torch.tensor(1.0, dtype=torch.float64)})
    targets = {"multilabel": torch.ones(5, 3), "regression": torch.zeros(5)}.get(name, torch.tensor([0, 1, 2, 0, 1]))
    assert objective.losses(pooled, targets).tolist() == close(objective.losses(outputs, targets).tolist())


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """Prepared data of a task."""
    folder = tmp_path_factory.mktemp("tasks")
    write_tiny_tasks(folder)
    return lambda task: prepare(JobSpec.model_validate(tiny_task_spec(task)), {"data": folder})


def test_balanced_weights_are_fitted_on_t_and_have_mean_one_there(tasks):
    data = tasks("binary")
    train = data.targets[data.split.train]
    fitted = class_weights(data, LossSpec(class_weights="balanced"))
    counts = np.bincount(train)
    assert list(fitted) == ["no", "yes"]
    assert list(fitted.values()) == close([len(train) / (2 * count) for count in counts])
    assert np.mean([fitted[data.classes[code]] for code in train]) == close(1.0)


def test_given_weights_keep_their_ratio_and_have_mean_one_on_t(tasks):
    data = tasks("multiclass")
    fitted = class_weights(data, LossSpec(class_weights={"2": 5.0}))
    assert [fitted[name] / fitted["0"] for name in ("0", "1", "2")] == close([1.0, 1.0, 5.0])
    assert np.mean([fitted[data.classes[code]] for code in data.targets[data.split.train]]) == close(1.0)
    assert class_weights(data, LossSpec()) is None


def test_every_task_has_its_objective(tasks):
    kinds = {"multiclass": Multiclass, "binary": Binary, "multilabel": Multilabel, "regression": Regression}
    for task, kind in kinds.items():
        assert type(objective_for(tasks(task), LossSpec(), CPU)) is kind


def test_class_weights_follow_the_outputs_to_their_device():
    # The answer is chosen on the CPU whatever the training's device; `meta` stands for the other one.
    objective = Multiclass(class_weights=torch.tensor([0.5, 1.5], dtype=torch.float64))
    outputs, targets = torch.zeros(3, 2, device="meta"), torch.zeros(3, dtype=torch.int64, device="meta")
    assert objective.losses(outputs, targets).device.type == "meta"
