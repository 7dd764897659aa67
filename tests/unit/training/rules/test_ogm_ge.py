"""OGM-GE: shares of the logits, ratios and coefficients by hand; what is modulated, and the noise."""

import math

import pytest
import torch

from core.training.batches import Batch
from core.training.objective import Multiclass, Multilabel
from core.training.rules import Blend, OgmGe
from core.training.rules.ogm_ge import coefficients, own_parts


def batch(*modalities, rows=6):
    generator = torch.Generator().manual_seed(2)
    inputs = {name: torch.randn(rows, 2, generator=generator) for name in modalities}
    return Batch(inputs, torch.tensor([0, 1] * (rows // 2)))


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_the_coefficient_of_the_modality_that_runs_ahead():
    # rho = 3 / 1.5 = 2 and 1/2: only the first is slowed.
    assert coefficients({"a": 3.0, "b": 1.5}, 0.5) == {"a": pytest.approx(1 - math.tanh(1.0)), "b": 1.0}
    assert coefficients({"a": 2.0, "b": 2.0}, 0.5) == {"a": 1.0, "b": 1.0}


def test_with_three_modalities_the_others_mean_counts():
    # Means of the others: 2, 3 and 4; rho = 3, 4/3 and 1/2.
    found = coefficients({"a": 6.0, "b": 4.0, "c": 0.0}, 0.5)
    assert found == {"a": pytest.approx(1 - math.tanh(1.5)), "b": pytest.approx(1 - math.tanh(2 / 3)), "c": 1.0}
    assert coefficients({"c": 0.0, "b": 4.0, "a": 6.0}, 0.5) == found


def test_a_modality_beside_others_that_know_nothing_is_stopped():
    assert coefficients({"a": 1.0, "b": 0.0}, 0.5) == {"a": 0.0, "b": 1.0}


def test_the_parts_are_each_modalitys_share_and_sum_to_the_logits(make_model):
    model = make_model("a", "b")
    linear = model.head("fused").classifier
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, 1.0]]))
        linear.bias.copy_(torch.tensor([2.0, 4.0]))
    parts = own_parts(model, {"a": torch.tensor([[1.0, 1.0]]), "b": torch.tensor([[1.0, 0.0]])})
    assert parts["a"].tolist() == [[4.0, 3.0]]
    assert parts["b"].tolist() == [[4.0, 2.0]]


def test_only_the_leading_encoder_is_scaled(make_model):
    model, data = make_model("a", "b"), batch("a", "b")
    Blend(Multiclass()).backward(model, data, {"fused": 1.0})
    naive = gradients(model)
    features = model.features(data.inputs, model.modalities)
    scores = {
        name: torch.softmax(part.double(), dim=1)[torch.arange(6), data.targets].sum().item()
        for name, part in own_parts(model, features).items()
    }
    factor = coefficients(scores, 0.5)
    assert sorted(factor.values())[1] == 1.0
    model.zero_grad(set_to_none=True)
    OgmGe(Multiclass(), alpha=0.5, noise=False).backward(model, data, {"fused": 1.0})
    found = gradients(model)
    assert found.keys() == naive.keys()
    for name, gradient in naive.items():
        expected = gradient * factor[name.split(".")[0].removeprefix("encoder_")] if "encoder" in name else gradient
        assert torch.allclose(found[name], expected, rtol=1e-6, atol=0.0), name


def test_the_noise_has_mean_0_and_the_gradients_own_spread(make_model):
    model, data = make_model("a", "b"), batch("a", "b")
    OgmGe(Multiclass(), alpha=0.5, noise=False).backward(model, data, {"fused": 1.0})
    quiet = gradients(model)
    model.zero_grad(set_to_none=True)
    Blend(Multiclass()).backward(model, data, {"fused": 1.0})
    spreads = {name: gradient.std(correction=0).item() for name, gradient in gradients(model).items()}
    torch.manual_seed(3)
    draws = []
    for _ in range(500):
        model.zero_grad(set_to_none=True)
        OgmGe(Multiclass(), alpha=0.5, noise=True).backward(model, data, {"fused": 1.0})
        draws.append(gradients(model))
    for name in ("encoder_a.weight", "encoder_b.weight"):
        noise = torch.stack([draw[name] - quiet[name] for draw in draws])
        assert noise.std().item() == pytest.approx(spreads[name], rel=0.1)
        assert abs(noise.mean().item()) < 0.1 * spreads[name]
    assert all(torch.equal(draw["head_fused.layers.1.weight"], quiet["head_fused.layers.1.weight"]) for draw in draws)


def test_uni_modal_heads_are_not_trained(make_model):
    model = make_model("a", "b")
    OgmGe(Multiclass(), alpha=0.5, noise=True).backward(model, batch("a", "b"), {"fused": 1.0})
    assert model.head("a").classifier.weight.grad is None


def test_the_score_of_other_targets_is_the_likelihood(make_model):
    # Two labels at odds of 1 and 3 for what is right: the loss is the mean of log 2 and log 4/3.
    rule = OgmGe(Multilabel(), alpha=0.5, noise=False)
    part = torch.tensor([[0.0, math.log(3.0)]])
    score = rule._score(part, torch.tensor([[1.0, 1.0]]))
    assert score.item() == pytest.approx(math.sqrt(0.5 * 0.75))
    classes = OgmGe(Multiclass(class_weights=torch.tensor([5.0, 1.0]), label_smoothing=0.2), alpha=0.5, noise=False)
    assert classes._score(part, torch.tensor([1])).item() == pytest.approx(0.75)
