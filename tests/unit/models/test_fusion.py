"""The fusions: shapes, parameters counted by hand, equations by hand, and what every one of them must leave alone."""

import json
import math

import pytest
import safetensors.torch
import torch

from core.data.dataset import ModalityInfo
from core.models.classifier import build_model
from core.models.fusion import JointLayer, NonLocal, SqueezeExcitation
from core.spec import JobSpec
from tests.tiny import tiny_spec

FUSIONS = ["concat", "mid_concat", "se_gate", "nl_gate"]
# Stem: (6 + 1) * 8 and (20 + 1) * 8; last layers: 9 * 8 each; uni-modal heads: 9 * 3 each.
ENCODERS_AND_HEADS = 7 * 8 + 21 * 8 + 2 * 9 * 8 + 2 * 9 * 3
INFOS = {
    "clean": ModalityInfo(name="clean", kind="embedding", shape=(6,)),
    "noisy": ModalityInfo(name="noisy", kind="embedding", shape=(20,)),
}


def model(fusion, *, hidden=0, turned=False, widths=(8, 8)):
    raw = tiny_spec(model={"fusion": fusion, "hidden": hidden})
    for modality, width in zip(raw["dataset"]["modalities"], widths, strict=True):
        modality["encoder"]["features"] = width
    if turned:
        raw["dataset"]["modalities"].reverse()
    return build_model(JobSpec.model_validate(raw), INFOS, 3)


def inputs(rows=5):
    generator = torch.Generator().manual_seed(1)
    return {"noisy": torch.randn(rows, 20, generator=generator), "clean": torch.randn(rows, 6, generator=generator)}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("fusion", "fused"),
    [
        ("concat", 17 * 3),
        # One joint layer in the place of two last ones, then the classifier.
        ("mid_concat", 17 * 16 + 17 * 3),
        # Bottleneck of 16 / 16 = 1.
        ("se_gate", 17 * 1 + 2 * 16 + 17 * 3),
        # theta, phi, g: 8 -> 4; out: 4 -> 8.
        ("nl_gate", 3 * 9 * 4 + 5 * 8 + 17 * 3),
    ],
)
def test_shapes_and_parameter_counts(fusion, fused):
    found = model(fusion)
    assert {head: tuple(logits.shape) for head, logits in found(inputs()).items()} == {
        "clean": (5, 3),
        "noisy": (5, 3),
        "fused": (5, 3),
    }
    assert count(found.head("fused")) == fused
    assert count(found) == ENCODERS_AND_HEADS + fused


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_hidden_layer_stands_behind_the_fusion(fusion):
    plain, hidden = model(fusion), model(fusion, hidden=32)
    assert count(hidden) - count(plain) == 17 * 32 + 33 * 3 - 17 * 3


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_order_of_modalities_in_the_spec_changes_nothing(fusion):
    straight, turned = model(fusion, widths=(8, 12)), model(fusion, widths=(8, 12), turned=True)
    for head, logits in straight(inputs()).items():
        assert torch.equal(logits, turned(inputs())[head])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_uni_modal_networks_are_the_same_whatever_the_fusion(fusion):
    late, other = model("concat")(inputs()), model(fusion)(inputs())
    for head in ("clean", "noisy"):
        assert torch.equal(late[head], other[head])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_copies_share_nothing_and_parts_share_everything(fusion):
    found = model(fusion)
    before = found(inputs())
    for head in found.heads:
        copied = found.copy_of([head])
        assert torch.equal(copied(inputs())[head], before[head])
        with torch.no_grad():
            for parameter in copied.parameters():
                parameter.add_(1.0)
    for head, logits in found(inputs()).items():
        assert torch.equal(logits, before[head])
    part = found.part(["clean"])
    assert part.heads == part.modalities == ("clean",)
    assert {id(p) for p in part.parameters()} < {id(p) for p in found.parameters()}


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_parameter_is_reached_by_some_loss(fusion):
    found = model(fusion, widths=(8, 12))
    with torch.no_grad():  # off the starting point, where the non-local block does nothing
        for parameter in found.parameters():
            parameter.add_(0.01)
    sum(logits.square().sum() for logits in found(inputs()).values()).backward()
    assert [name for name, parameter in found.named_parameters() if parameter.grad is None] == []


def test_mid_concat_joins_in_front_of_the_last_layers():
    found = model("mid_concat")
    before = found(inputs())
    with torch.no_grad():
        found.head("clean").last.project.weight.add_(1.0)
    after = found(inputs())
    assert not torch.equal(before["clean"], after["clean"])
    assert torch.equal(before["fused"], after["fused"])


def test_the_joint_layer_is_a_rectified_linear_one():
    layer = JointLayer(2, 2)
    with torch.no_grad():
        layer.project.weight.copy_(torch.tensor([[1.0, 2.0], [1.0, -2.0]]))
        layer.project.bias.copy_(torch.tensor([0.5, 0.5]))
    assert layer(torch.tensor([[1.0, 1.0]])).tolist() == [[3.5, 0.0]]


def test_the_squeeze_and_excitation_gate_by_hand():
    # One bottleneck unit: relu(3 - 1) = 2; gates sigmoid(2 * log 3 / 2) = 3/4 and sigmoid(0) = 1/2.
    gate = SqueezeExcitation(2)
    with torch.no_grad():
        gate.squeeze.weight.copy_(torch.tensor([[1.0, -1.0]]))
        gate.squeeze.bias.zero_()
        gate.excite.weight.copy_(torch.tensor([[math.log(3.0) / 2], [0.0]]))
        gate.excite.bias.zero_()
    assert gate(torch.tensor([[3.0, 1.0]])).tolist() == [[pytest.approx(2.25), pytest.approx(0.5)]]


def test_the_non_local_block_by_hand():
    # Two tokens of width 1, x = (1, 2); theta = 0, so each attends to both alike: y = mean of g(x) = 3 * 1.5 = 4.5.
    block = NonLocal({"a": 1, "b": 1})
    with torch.no_grad():
        for linear, weight in ((block.theta, 0.0), (block.phi, 1.0), (block.g, 3.0), (block.out, 2.0)):
            linear.weight.fill_(weight)
            linear.bias.zero_()
    assert block(torch.tensor([[1.0, 2.0]])).tolist() == [[10.0, 11.0]]


def test_the_non_local_block_starts_as_the_identity_and_attends():
    block = NonLocal({"a": 4, "b": 4})
    x = inputs()["clean"].repeat(1, 2)[:, :8]
    assert torch.equal(block(x), x)
    # Attention of the second token to itself alone: theta x = log 3 * 2, phi = x, so softmax over <., .>.
    sharp = NonLocal({"a": 1, "b": 1})
    with torch.no_grad():
        for linear, weight in ((sharp.theta, math.log(3.0)), (sharp.phi, 1.0), (sharp.g, 1.0), (sharp.out, 1.0)):
            linear.weight.fill_(weight)
            linear.bias.zero_()
    # x = (1, 0): token a weighs a : b as 3 : 1, so y_a = 3/4; token b weighs them alike, so y_b = 1/2.
    assert sharp(torch.tensor([[1.0, 0.0]])).tolist() == [[pytest.approx(1.75), pytest.approx(0.5)]]


def test_narrower_tokens_are_widened():
    block = NonLocal({"a": 2, "b": 4})
    assert block(torch.ones(3, 6)).shape == (3, 8)
    assert count(block) == 2 * 4 + 3 * 5 * 2 + 3 * 4


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("kind", ["image", "timeseries"])
def test_convolutional_encoders_take_part_in_every_fusion(fusion, kind):
    raw = tiny_spec(model={"fusion": fusion})
    shape = (1, 12, 20) if kind == "image" else (30, 2)
    first = {"name": "noisy", "type": kind, "column": "x", "encoder": {"features": 8}}
    raw["dataset"]["modalities"][0] = first | ({"shape": [None, 2]} if kind == "timeseries" else {})
    infos = INFOS | {"noisy": ModalityInfo(name="noisy", kind=kind, shape=shape)}
    found = build_model(JobSpec.model_validate(raw), infos, 3)
    assert found(inputs() | {"noisy": torch.zeros(5, *shape)})["fused"].shape == (5, 3)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_model_can_be_rebuilt_from_its_spec_and_its_tensors(fusion, tmp_path):
    spec = JobSpec.model_validate(tiny_spec(model={"fusion": fusion, "hidden": 4}))
    found = build_model(spec, INFOS, 3)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(0.1)
    safetensors.torch.save_file(found.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "model.json").write_text(json.dumps(spec.resolved()))
    again = build_model(JobSpec.model_validate_json((tmp_path / "model.json").read_text()), INFOS, 3)
    again.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    for head, logits in found(inputs()).items():
        assert torch.equal(again(inputs())[head], logits)
