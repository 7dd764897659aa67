"""Per-sample losses by hand; measuring disturbs nothing."""

import math

import numpy as np
import pytest
import torch

from core.training.batches import Batch
from core.training.measure import AVERAGE, Scores, measure


class Given(torch.nn.Module):
    """Heads whose logits are the inputs themselves."""

    def __init__(self):
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, inputs, heads):
        return {name: self.drop(inputs[name]) for name in heads}


def batch(a, b, targets):
    return Batch({"a": torch.tensor(a), "b": torch.tensor(b)}, torch.tensor(targets))


LOG3 = math.log(3.0)


def test_losses_are_per_sample_and_in_order_over_batches_of_any_size():
    scores = measure(
        Given(),
        [batch([[LOG3, 0.0], [LOG3, 0.0]], [[0.0, 0.0]] * 2, [0, 1]), batch([[0.0, LOG3]], [[0.0, 0.0]], [1])],
        ["a"],
    )["a"]
    assert scores.losses == pytest.approx([math.log(4 / 3), math.log(4), math.log(4 / 3)])
    assert scores.losses.dtype == np.float64
    assert scores.hits.tolist() == [True, False, True]


def test_the_average_mixes_probabilities_with_the_weights():
    # a says 3/4, b says 1/2: 0.8 * 3/4 + 0.2 * 1/2 = 0.7.
    scores = measure(Given(), [batch([[LOG3, 0.0]], [[0.0, 0.0]], [0])], ["a", "b"], average={"a": 0.8, "b": 0.2})
    assert scores[AVERAGE].losses == pytest.approx([-math.log(0.7)])


def test_the_mode_of_every_part_is_restored_and_no_number_is_drawn():
    module = Given()
    module.train()
    module.drop.eval()
    state = torch.get_rng_state()
    measure(module, [batch([[LOG3, 0.0]], [[0.0, 0.0]], [0])], ["a"])
    assert module.training
    assert not module.drop.training
    assert torch.equal(torch.get_rng_state(), state)


def test_means_and_standard_errors():
    found = Scores(np.array([1.0, 2.0, 3.0, 2.0]), np.array([True, True, False, True])).measurement("a", "test")
    assert (found.loss, found.accuracy, found.samples) == (2.0, 0.75, 4)
    assert found.loss_se == pytest.approx(math.sqrt(2 / 3) / 2)
    assert found.accuracy_se == pytest.approx(0.25)


def test_a_loss_that_is_no_number_is_null_and_flagged():
    found = Scores(np.array([math.nan]), np.array([False])).measurement("a", "train")
    assert found.loss is None
    assert found.flags == ("not_finite",)
