"""The blended loss against numbers by hand, and what a step may and may not touch."""

import math

import pytest
import torch

from core.spec.recipe import Adam, Sgd
from core.training.batches import Batch
from core.training.learner import Learner, train_pass
from core.training.objective import Multiclass
from core.training.rng import RngStream
from core.training.rules import Blend

CPU = torch.device("cpu")


class TwoHeads(torch.nn.Module):
    """A linear head for each of `a` and `b`, with dropout on `a`."""

    def __init__(self, dropout=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.a = torch.nn.Sequential(torch.nn.Dropout(dropout), torch.nn.Linear(3, 2))
        self.b = torch.nn.Linear(3, 2)

    def forward(self, inputs, heads):
        return {name: getattr(self, name)(inputs["x"]) for name in heads}


def batches(n=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [
        Batch({"x": torch.randn(4, 3, generator=generator)}, torch.randint(0, 2, (4,), generator=generator))
        for _ in range(n)
    ]


def learner(weights, module=None, *, optimizer=None, **options):
    return Learner(
        module or TwoHeads(),
        weights,
        rule=Blend(Multiclass()),
        optimizer=optimizer or Adam(lr=0.1),
        rng=RngStream(7, CPU),
        **options,
    )


def test_the_blended_loss_is_the_weighted_sum_of_cross_entropies():
    # Head a is undecided between two classes: log 2. Head b gives the right one odds of 3: log(4/3).
    logits = {"a": torch.zeros(1, 2), "b": torch.tensor([[math.log(3.0), 0.0]])}
    loss = Blend(Multiclass()).loss(logits, Batch({}, torch.tensor([0])), {"a": 0.25, "b": 0.75})
    assert loss.item() == pytest.approx(0.25 * math.log(2) + 0.75 * math.log(4 / 3))


def test_a_head_without_weight_moves_no_parameter():
    module = TwoHeads()
    before = module.b.weight.clone()
    train_pass([learner({"a": 1.0, "b": 0.0}, module, optimizer=Adam(lr=0.1, weight_decay=0.5))], batches())
    assert torch.equal(module.b.weight, before)
    assert module.b.weight.grad is None


def test_a_learner_without_any_weight_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        learner({"a": 0.0})


def test_samples_are_counted_per_head():
    assert train_pass([learner({"a": 0.5, "b": 0.5}), learner({"a": 1.0})], batches(3)) == 3 * 4 * 3


def test_clipping_bounds_the_step_of_plain_sgd():
    module = TwoHeads()
    before = torch.cat([p.flatten() for p in module.parameters()]).clone()
    one = learner({"a": 1.0, "b": 1.0}, module, optimizer=Sgd(type="sgd", lr=1.0, momentum=0.0), max_grad_norm=0.01)
    train_pass([one], batches(1))
    after = torch.cat([p.flatten() for p in module.parameters()])
    assert (after - before).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_a_step_leaves_the_global_generator_alone():
    one = learner({"a": 1.0}, TwoHeads(dropout=0.5))
    torch.manual_seed(11)
    state = torch.get_rng_state()
    train_pass([one], batches())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("optimizer", [Adam(lr=0.1, weight_decay=0.01), Sgd(type="sgd", lr=0.1)])
def test_a_restored_learner_goes_on_bit_for_bit(optimizer):
    data = batches(6)
    straight = learner({"a": 0.5, "b": 0.5}, TwoHeads(dropout=0.5), optimizer=optimizer)
    train_pass([straight], data)

    first = learner({"a": 0.5, "b": 0.5}, TwoHeads(dropout=0.5), optimizer=optimizer)
    train_pass([first], data[:3])
    second = learner({"a": 0.5, "b": 0.5}, TwoHeads(dropout=0.5), optimizer=optimizer)
    second.load(first.tensors())
    train_pass([second], data[3:])

    expected, found = straight.tensors(), second.tensors()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_adopted_moments_are_copies():
    live = learner({"a": 1.0, "b": 1.0})
    train_pass([live], batches())
    other = learner({"a": 1.0})
    other.adopt_optimizer_state(live)
    before = {name: value.clone() for name, value in live.tensors().items()}
    assert torch.equal(other.tensors()["optimizer.exp_avg.b.weight"], before["optimizer.exp_avg.b.weight"])
    train_pass([other], batches())
    assert all(torch.equal(value, before[name]) for name, value in live.tensors().items())
