"""MMPareto: shares and lengths by hand, gradients against plain differentiation."""

import math

import pytest
import torch

from core.training.batches import Batch
from core.training.objective import Multiclass
from core.training.rules import MMPareto
from core.training.rules.mmpareto import combine, pareto_share


def one(*values):
    return [torch.tensor(values)]


def test_gradients_that_agree_are_summed_and_enhanced():
    assert pareto_share(1.0, 4.0, 0.0) == 0.5
    assert combine(one(1.0, 0.0), one(0.0, 2.0), 1.5)[0].tolist() == [1.5, 3.0]


def test_gradients_in_conflict_by_hand():
    # g_m = (1, 0), g_u = (-1, 1): |g_u|^2 - <g_m, g_u> = 3 over |g_m - g_u|^2 = 5.
    assert pareto_share(1.0, 2.0, -1.0) == pytest.approx(0.6)
    # a g_m + (1 - a) g_u = (0.2, 0.4), twice that has length 2 sqrt(0.2); the plain sum (0, 1) has length 1.
    (found,) = combine(one(1.0, 0.0), one(-1.0, 1.0), 1.0)
    scale = 1.0 / (2 * math.sqrt(0.2))
    assert found.tolist() == [pytest.approx(0.4 * scale), pytest.approx(0.8 * scale)]
    assert found.norm().item() == pytest.approx(1.0)
    (enhanced,) = combine(one(1.0, 0.0), one(-1.0, 1.0), 1.5)
    assert enhanced.tolist() == pytest.approx((1.5 * found).tolist())


def test_the_least_norm_helps_both_losses_where_the_sum_hurts_one():
    joint, alone = torch.tensor([1.0, 0.0]), torch.tensor([-3.0, 1.0])
    assert torch.dot(joint + alone, joint) < 0
    (found,) = combine([joint], [alone], 1.0)
    assert torch.dot(found, joint) > 0
    assert torch.dot(found, alone) > 0


def test_no_other_share_gives_a_shorter_combination():
    generator = torch.Generator().manual_seed(5)
    for _ in range(20):
        g_m, g_u = torch.randn(2, 7, generator=generator, dtype=torch.float64)
        if torch.dot(g_m, g_u) >= 0:
            g_u = -g_u
        best = pareto_share(float(g_m @ g_m), float(g_u @ g_u), float(g_m @ g_u))
        assert 0.0 < best < 1.0
        shares = torch.linspace(0, 1, 101, dtype=torch.float64)
        lengths = (shares[:, None] * g_m + (1 - shares[:, None]) * g_u).norm(dim=1)
        assert (best * g_m + (1 - best) * g_u).norm() <= lengths.min() + 1e-12


def test_opposite_gradients_stand_still_instead_of_blowing_rounding_up():
    (found,) = combine(one(0.3, 0.1), one(-0.9, -0.3), 1.5)
    assert found.norm().item() < 1e-6
    assert combine(one(0.0, 0.0), one(0.0, 0.0), 1.5)[0].tolist() == [0.0, 0.0]
    assert combine(one(0.0, 0.0), one(1.0, 2.0), 1.5)[0].tolist() == [1.5, 3.0]


def test_norms_are_those_of_the_whole_encoder():
    # The same two gradients as above, cut into two tensors: the same answer, tensor by tensor.
    whole = combine(one(1.0, 0.0), one(-1.0, 1.0), 1.5)[0].tolist()
    parts = combine([*one(1.0), *one(0.0)], [*one(-1.0), *one(1.0)], 1.5)
    assert [part.item() for part in parts] == pytest.approx(whole)


def plain(model, batch, heads):
    """Gradients of the sum of these heads' losses, by name."""
    model.zero_grad(set_to_none=True)
    outputs = model(batch.inputs, heads)
    sum(Multiclass().loss(outputs[head], batch.targets) for head in heads).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_heads_have_their_own_losses_and_encoders_the_combination(make_model):
    model = make_model("a", "b")
    generator = torch.Generator().manual_seed(4)
    batch = Batch({k: torch.randn(6, 2, generator=generator) for k in "ab"}, torch.tensor([0, 1, 0, 1, 1, 0]))
    by_head = {head: plain(model, batch, (head,)) for head in model.heads}
    model.zero_grad(set_to_none=True)
    MMPareto(Multiclass(), gamma=1.5).backward(model, batch, dict.fromkeys(model.heads, 1 / 3))
    for name, parameter in model.named_parameters():
        owner = name.split(".")[0]
        if owner.startswith("head_"):
            expected = by_head[owner.removeprefix("head_")][name]
        else:
            (expected,) = combine([by_head["fused"][name]], [by_head[owner.removeprefix("encoder_")][name]], 1.5)
        assert torch.allclose(parameter.grad, expected, rtol=1e-5, atol=1e-7), name
