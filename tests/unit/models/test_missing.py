"""Samples that lack a modality: the learnt vector in the place of its features, and what must not reach the encoder."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.dataset import ModalityInfo
from core.models.classifier import MultimodalClassifier, build_model
from core.models.heads import Head
from core.spec import JobSpec
from core.training.batches import Batch, InOrder
from core.training.estimators.gradient import directional
from core.training.objective import Multiclass
from core.training.rules import Blend, MMPareto, OgmGe
from core.training.rules.mmpareto import combine
from core.training.rules.ogm_ge import coefficients, own_parts
from tests.tiny import tiny_spec

INFOS = {
    "clean": ModalityInfo(name="clean", kind="embedding", shape=(6,)),
    "noisy": ModalityInfo(name="noisy", kind="embedding", shape=(20,)),
}
SHAPES = {
    "image": ((1, 12, 20), ()),
    "audio": ((1, 16, 9), ()),
    "video": ((3, 1, 8, 8), ()),
    "timeseries": ((30, 2), ()),
    "tabular": ((5,), (3, 4)),
    "embedding": ((20,), ()),
    "text": ((7,), (9,)),
}


def model_of(kind="embedding", fusion="concat", dropout=0.0):
    """A model whose modality `noisy`, of this kind, may be missing; F = 8, 3 classes."""
    raw = tiny_spec(model={"fusion": fusion})
    extra = {
        "timeseries": {"column": "x", "shape": [None, 2]},
        "tabular": {"columns": [{"name": "x", "type": "number"}]},
    }
    raw["dataset"]["modalities"][0] = {
        "name": "noisy",
        "type": kind,
        "missing": "mask",
        "encoder": {"features": 8, "dropout": dropout},
    } | extra.get(kind, {"column": "x"})
    shape, categories = SHAPES[kind]
    infos = INFOS | {"noisy": ModalityInfo(name="noisy", kind=kind, shape=shape, categories=categories)}
    return build_model(JobSpec.model_validate(raw), infos, 3)


def inputs_of(present, kind="embedding", seed=1):
    generator = torch.Generator().manual_seed(seed)
    shape, categories = SHAPES[kind]
    values = torch.randn(len(present), *shape, generator=generator)
    if kind == "text":
        values = torch.arange(len(present) * 7).reshape(-1, 7) % 9 * 1.0
    for place, size in enumerate(reversed(categories if kind == "tabular" else ()), start=1):
        values[:, -place] = torch.arange(len(present)) % size
    return {
        "noisy": values,
        "noisy:present": torch.tensor(present, dtype=torch.float32),
        "clean": torch.randn(len(present), 6, generator=generator),
    }


def batch_of(present, kind="embedding", seed=1):
    return Batch(inputs_of(present, kind, seed), torch.arange(len(present)) % 3)


def backward(model, batch, heads=("clean", "noisy", "fused")):
    model.zero_grad(set_to_none=True)
    Blend(Multiclass()).backward(model, batch, dict.fromkeys(heads, 1.0 / len(heads)))
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def nudge(model):
    """Away from where the vectors start."""
    with torch.no_grad():
        for number, name in enumerate(model.masked):
            model.missing(name).copy_(torch.linspace(-1.0, 2.0, len(model.missing(name))) + number)


def test_a_model_without_masks_has_no_tensor_more_and_no_other_numbers():
    plain = build_model(JobSpec.model_validate(tiny_spec()), INFOS, 3)
    masked = model_of()
    assert plain.masked == ()
    assert masked.masked == ("noisy",)
    assert set(masked.state_dict()) - set(plain.state_dict()) == {"missing_noisy"}
    assert masked.missing("noisy").tolist() == [0.0] * 8
    for name, value in plain.state_dict().items():
        assert torch.equal(masked.state_dict()[name], value), name
    inputs = inputs_of([1, 1, 1, 1])
    for head, logits in plain(inputs).items():
        assert torch.equal(masked(inputs)[head], logits), head


@pytest.mark.parametrize("kind", SHAPES)
def test_features_of_absent_rows_are_the_vector_and_of_the_others_the_encoders(kind):
    model = model_of(kind).eval()
    nudge(model)
    inputs = inputs_of([1, 0, 1, 0], kind)
    features = model.features(inputs, model.modalities)
    assert torch.equal(features["noisy"][[1, 3]], model.missing("noisy").expand(2, 8))
    assert torch.allclose(features["noisy"][[0, 2]], model.encoder("noisy")(inputs["noisy"])[[0, 2]], atol=1e-6)
    assert features["clean"].shape == (4, 8)


@pytest.mark.parametrize("fusion", ["concat", "mid_concat", "se_gate", "nl_gate"])
@pytest.mark.parametrize("placeholder", [0.0, 1e30, math.inf, math.nan])
def test_placeholders_reach_neither_outputs_nor_gradients(fusion, placeholder):
    model = model_of(fusion=fusion)
    nudge(model)
    batch = batch_of([1, 0, 1, 1, 0, 1])
    outputs, gradients = model(batch.inputs), backward(model, batch)
    batch.inputs["noisy"][[1, 4]] = placeholder
    for head, logits in model(batch.inputs).items():
        assert torch.equal(logits, outputs[head]), head
    for name, gradient in backward(model, batch).items():
        assert torch.equal(gradient, gradients[name]), name


@pytest.mark.parametrize("kind", SHAPES)
def test_the_encoders_gradient_is_that_of_the_rows_that_have_the_modality(kind):
    model = model_of(kind)
    batch = batch_of([1, 0, 1, 0, 0, 1], kind)
    found = backward(model, batch, ["noisy"])
    rows = [0, 2, 5]
    present = Batch({name: value[rows] for name, value in batch.inputs.items()}, batch.targets[rows])
    alone = backward(model, present, ["noisy"])
    for name, gradient in found.items():
        if name.startswith("encoder_noisy"):
            # The mean is over six rows, of which three have no part in it.
            assert torch.allclose(gradient, 0.5 * alone[name], rtol=1e-5, atol=1e-7), name


@pytest.mark.parametrize("kind", SHAPES)
def test_in_a_batch_without_the_modality_the_encoder_has_gradients_of_exactly_zero(kind):
    model = model_of(kind)
    nudge(model)
    batch = batch_of([0, 0, 0, 0], kind)
    gradients = backward(model, batch)
    own = {name: gradient for name, gradient in gradients.items() if name.startswith("encoder_noisy")}
    assert len(own) == len(list(model.encoder("noisy").parameters()))
    assert all(not gradient.any() for gradient in own.values())
    assert gradients["missing_noisy"].abs().sum() > 0.0
    assert gradients["head_noisy.layers.1.weight"].abs().sum() > 0.0


def test_in_a_batch_that_has_the_modality_throughout_the_vector_has_a_gradient_of_zero():
    gradients = backward(model_of(), batch_of([1, 1, 1]))
    assert gradients["missing_noisy"].tolist() == [0.0] * 8


def test_a_process_without_a_row_has_gradients_wherever_the_others_have_them():
    model = model_of()
    empty = {name: value[:0] for name, value in inputs_of([1, 0]).items()}
    own = backward(model, Batch(empty, torch.arange(0), 2))
    assert own.keys() == backward(model, batch_of([1, 0])).keys()
    assert all(not gradient.any() for gradient in own.values())


def test_the_vectors_gradient_by_hand():
    """One feature, logits (f, 0), the right class is the first: d loss / d f is softmax_0 - 1."""
    encoder, head = torch.nn.Linear(1, 1, bias=False), Head(1, 2, hidden=0, dropout=0.0)
    with torch.no_grad():
        encoder.weight.fill_(1.0)
        head.classifier.weight.copy_(torch.tensor([[1.0], [0.0]]))
        head.classifier.bias.zero_()
    model = MultimodalClassifier({"a": encoder}, {"a": head}, {"a": torch.nn.Parameter(torch.tensor([0.0]))})
    inputs = {"a": torch.tensor([[math.log(3.0)], [7.0]]), "a:present": torch.tensor([1.0, 0.0])}
    Blend(Multiclass()).backward(model, Batch(inputs, torch.tensor([0, 0])), {"a": 1.0})
    assert model.missing("a").grad.item() == pytest.approx(0.5 * (0.5 - 1.0))
    assert encoder.weight.grad.item() == pytest.approx(0.5 * (0.75 - 1.0) * math.log(3.0))


def test_dropout_in_the_encoder_leaves_the_vector_alone():
    model = model_of(dropout=0.9).train()
    nudge(model)
    features = model.features(inputs_of([0] * 50 + [1] * 50), ["noisy"])["noisy"]
    assert torch.equal(features[:50], model.missing("noisy").expand(50, 8))
    assert (features[50:] == 0.0).float().mean() > 0.7


class Normalised(torch.nn.Module):
    """An encoder that keeps statistics of what it sees."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(2, momentum=1.0)

    def forward(self, x):
        return self.norm(x) if len(x) else x


def test_statistics_of_a_layer_are_of_the_rows_that_have_the_modality():
    heads = {"a": Head(2, 2, hidden=0, dropout=0.0)}
    model = MultimodalClassifier({"a": Normalised()}, heads, {"a": torch.nn.Parameter(torch.zeros(2))}).train()
    values = torch.tensor([[1.0, 0.0], [100.0, 100.0], [3.0, 4.0]])
    model({"a": values, "a:present": torch.tensor([1.0, 0.0, 1.0])})
    assert model.encoder("a").norm.running_mean.tolist() == [2.0, 2.0]
    model({"a": values, "a:present": torch.zeros(3)})
    assert model.encoder("a").norm.running_mean.tolist() == [2.0, 2.0]


def test_parts_share_the_vector_and_copies_do_not():
    model = model_of()
    assert model.part(["noisy"]).missing("noisy") is model.missing("noisy")
    assert model.part(["clean"]).masked == ()
    assert set(model.part(["fused"]).state_dict()) >= {"missing_noisy"}
    copied = model.copy_of(["noisy"])
    assert copied.missing("noisy") is not model.missing("noisy")
    assert torch.equal(copied.missing("noisy"), model.missing("noisy"))
    assert [id(each) for each in model.parameters_of("noisy")] == [
        *(id(each) for each in model.encoder("noisy").parameters()),
        id(model.missing("noisy")),
    ]
    assert model.parameters_of("clean") == list(model.encoder("clean").parameters())


def test_the_vector_is_as_long_as_what_the_encoder_hands_on():
    raw = tiny_spec(model={"fusion": "mid_concat"})
    raw["dataset"]["modalities"][0] |= {"missing": "mask", "type": "image"}
    infos = INFOS | {"noisy": ModalityInfo(name="noisy", kind="image", shape=(1, 8, 8))}
    model = build_model(JobSpec.model_validate(raw), infos, 3)
    assert model.missing("noisy").shape == (model.encoder("noisy").width,) == (64,)
    assert model(inputs_of([1, 0]) | {"noisy": torch.zeros(2, 1, 8, 8)})["fused"].shape == (2, 3)


@pytest.mark.parametrize("head", ["noisy", "fused"])
def test_the_forward_derivative_knows_the_vector(head):
    """Against a backward per sample, as without masks (`training/estimators/test_gradient.py`)."""
    model = model_of().double()
    nudge(model)
    batch = batch_of([1, 0, 1, 0, 1])
    doubles = Batch({name: value.double() for name, value in batch.inputs.items()}, batch.targets)
    generator = torch.Generator().manual_seed(4)
    direction = {
        name: torch.randn(value.shape, generator=generator, dtype=torch.float64)
        for name, value in model.named_parameters()
    }
    _, slopes = directional(model, head, direction, InOrder([doubles]), Multiclass())
    losses = Multiclass().losses(model(doubles.inputs, [head])[head], doubles.targets)
    for row, loss in enumerate(losses):
        found = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True, materialize_grads=True)
        pairs = zip(found, direction.values(), strict=True)
        assert slopes[row].item() == pytest.approx(sum(float((a * b).sum()) for a, b in pairs), rel=1e-9)


def test_mmpareto_counts_the_vector_to_its_encoder():
    model, batch = model_of(), batch_of([1, 0, 1, 0, 0, 1])
    nudge(model)
    names = [*(f"encoder_noisy.{name}" for name, _ in model.encoder("noisy").named_parameters()), "missing_noisy"]
    joint, alone = backward(model, batch, ["fused"]), backward(model, batch, ["noisy"])
    expected = combine([joint[name] for name in names], [alone[name] for name in names], 1.5)
    model.zero_grad(set_to_none=True)
    MMPareto(Multiclass(), gamma=1.5).backward(model, batch, {})
    for name, gradient in zip(names, expected, strict=True):
        assert torch.allclose(model.get_parameter(name).grad, gradient, rtol=1e-5, atol=1e-8), name


def test_ogm_ge_slows_the_vector_with_its_encoder():
    model, batch = model_of(), batch_of([1, 0, 1, 0, 0, 1])
    nudge(model)
    naive = backward(model, batch, ["fused"])
    features = model.features(batch.inputs, model.modalities)
    scores = {
        name: torch.softmax(part.double(), dim=1).gather(1, batch.targets[:, None]).sum().item()
        for name, part in own_parts(model, features).items()
    }
    factor = coefficients(scores, 2.0)["noisy"]
    model.zero_grad(set_to_none=True)
    OgmGe(Multiclass(), alpha=2.0, noise=False).backward(model, batch, {})
    assert torch.allclose(model.missing("noisy").grad, factor * naive["missing_noisy"], rtol=1e-6, atol=0.0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(present=st.lists(st.sampled_from([0, 1]), min_size=1, max_size=12), seed=st.integers(0, 1000))
def test_every_row_is_answered_as_it_would_be_alone(present, seed):
    """Who else is in a batch, and who lacks what, decides nothing of a row's outputs."""
    model = model_of().eval()
    nudge(model)
    inputs = inputs_of(present, seed=seed)
    together = model(inputs)
    for row in range(len(present)):
        alone = model({name: value[row : row + 1] for name, value in inputs.items()})
        for head, logits in together.items():
            assert torch.allclose(alone[head][0], logits[row], atol=1e-5)
