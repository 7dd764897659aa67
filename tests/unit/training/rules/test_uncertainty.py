"""Learnt weights: the loss and the gradient of s by hand, and s as a part of the learner."""

import math

import pytest
import torch

from core.spec.recipe import Adam, Sgd
from core.training.batches import Batch
from core.training.learner import Learner, train_pass
from core.training.objective import Multiclass
from core.training.rng import RngStream
from core.training.rules import Uncertainty

CPU = torch.device("cpu")
LOG2 = math.log(2.0)


class Given(torch.nn.Module):
    """Head a is undecided (loss log 2), head b gives the right class odds of 3 (loss log 4/3), whatever comes in."""

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.zeros(1, 2))
        self.b = torch.nn.Parameter(torch.tensor([[math.log(3.0), 0.0]]))

    def forward(self, inputs, heads):
        return {name: getattr(self, name) for name in heads}


BATCH = Batch({}, torch.tensor([0]))
WEIGHTS = {"a": 0.5, "b": 0.5}


def rule(a=0.0, b=0.0):
    found = Uncertainty(Multiclass(), ("a", "b"), CPU)
    with torch.no_grad():
        found.s["a"].fill_(a)
        found.s["b"].fill_(b)
    return found


def test_the_loss_by_hand():
    # s = (log 2, 0): log(2)/2 + log(4/3) + (log 2 + 0)/2.
    found = rule(a=LOG2).loss(Given()({}, ("a", "b")), BATCH, ("a", "b"))
    assert found.item() == pytest.approx(LOG2 / 2 + math.log(4 / 3) + LOG2 / 2)


def test_the_gradient_of_s_is_one_half_minus_the_weighted_loss():
    found = rule(a=LOG2)
    found.backward(Given(), BATCH, WEIGHTS)
    assert found.s["a"].grad.item() == pytest.approx(0.5 - LOG2 / 2)
    assert found.s["b"].grad.item() == pytest.approx(0.5 - math.log(4 / 3))


def test_the_network_gets_each_loss_times_its_weight():
    module = Given()
    rule(a=LOG2).backward(module, BATCH, WEIGHTS)
    # d log-loss / d logits = p - y = (-1/2, 1/2), times exp(-log 2).
    assert module.a.grad.tolist() == [[pytest.approx(-0.25), pytest.approx(0.25)]]
    assert module.b.grad.tolist() == [[pytest.approx(-0.25), pytest.approx(0.25)]]


def test_weights_are_normalised_and_start_equal():
    assert rule().weights() == {"a": 0.5, "b": 0.5}
    assert rule(a=LOG2).weights() == {"a": pytest.approx(1 / 3), "b": pytest.approx(2 / 3)}


def learner(optimizer, **options):
    found = rule()
    return Learner(Given(), WEIGHTS, rule=found, optimizer=optimizer, rng=RngStream(1, CPU), **options), found


def test_s_takes_the_optimizers_step_without_clipping():
    one, found = learner(Sgd(type="sgd", lr=0.1, momentum=0.0), max_grad_norm=1e-6)
    train_pass([one], [BATCH])
    assert found.s["a"].item() == pytest.approx(-0.1 * (0.5 - LOG2))
    assert found.s["b"].item() == pytest.approx(-0.1 * (0.5 - math.log(4 / 3)))
    assert one.module.a.detach().abs().max().item() < 1e-6


def test_weight_decay_leaves_s_alone():
    one, found = learner(Sgd(type="sgd", lr=0.1, momentum=0.0, weight_decay=0.5))
    with torch.no_grad():
        found.s["a"].fill_(2.0)
    train_pass([one], [BATCH])
    assert found.s["a"].item() == pytest.approx(2.0 - 0.1 * (0.5 - math.exp(-2.0) * LOG2))
    # The network does decay: its gradient, half the weight's odds, and its own value.
    assert one.module.b[0, 0].item() == pytest.approx(math.log(3.0) + 0.1 * (0.25 - 0.5 * math.log(3.0)))


@pytest.mark.parametrize("optimizer", [Adam(lr=0.1), Sgd(type="sgd", lr=0.1)])
def test_a_restored_learner_goes_on_bit_for_bit(optimizer):
    straight, expected = learner(optimizer)
    train_pass([straight], [BATCH] * 4)
    first, _ = learner(optimizer)
    train_pass([first], [BATCH] * 2)
    second, found = learner(optimizer)
    second.load(first.tensors())
    train_pass([second], [BATCH] * 2)
    assert expected.s["a"].item() != 0.0
    assert {name: value.tolist() for name, value in second.tensors().items()} == {
        name: value.tolist() for name, value in straight.tensors().items()
    }
    assert found.weights() == expected.weights()
