"""Pretrained models that are trained: what of them is, what they see, and what comes out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from core.data.blocks import BLOCKS_IN, TWO_TOWERS, blocks_said
from core.data.dataset import PreparedData, prepare
from core.data.feature_cache import FeatureCache
from core.data.features import Featuriser
from core.data.modalities.base import presence_of
from core.data.pretrained import find_pretrained
from core.data.validation import check
from core.errors import DataError
from core.models.classifier import MultimodalClassifier, build_model
from core.models.finetuned import PretrainedStem
from core.models.inputs import inputs_of, load_inputs
from core.models.pretrained import load_frozen, tower_of
from core.models.trained_part import blocks_of
from core.spec import JobSpec
from core.spec.data import PretrainedEncoder
from tests import tiny_models
from tests.tuned import encoder, tuned_spec, write_tuned

CPU = torch.device("cpu")
Roots = dict[str, Path]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    folder = tmp_path_factory.mktemp("tuned")
    found = write_tuned(folder)
    more = (tiny_models.bert_with_class_token, tiny_models.gpt2, tiny_models.videomae, tiny_models.ast)
    for make in (tiny_models.resnet_of_stages, tiny_models.convnext_of_stages, *more):
        (folder / make.__name__).mkdir()
        make(folder / make.__name__)
    return found


def opened(raw: dict[str, Any], roots: Roots) -> tuple[PreparedData, MultimodalClassifier]:
    spec = JobSpec.model_validate(raw)
    data = prepare(spec, roots, load_inputs=load_inputs)
    return data, build_model(spec, data.modalities, data.outputs, data.tuned)


def stem_of(model: MultimodalClassifier, name: str) -> PretrainedStem:
    stem = model.encoder(name).get_submodule("stem")
    assert isinstance(stem, PretrainedStem)
    return stem


def images(model: str, trainable: str, roots: Roots) -> PretrainedStem:
    """The stem of the pictures' encoder, with another model than ViT."""
    raw = tuned_spec()
    raw["dataset"]["modalities"][1]["encoder"] = encoder(model, trainable)
    return stem_of(opened(raw, roots)[1], "face")


def trained(stem: PretrainedStem) -> set[str]:
    return {name for name, parameter in stem.tower.named_parameters() if parameter.requires_grad}


def below(prefix: str, names: str) -> set[str]:
    return {f"{prefix}.{name}.{kind}" for name in names.split() for kind in ("weight", "bias")}


def inputs(data: PreparedData, rows: list[int]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in data.batch(np.array(rows)).items()}


# what is trained


def test_the_last_block_of_a_bert(roots: Roots) -> None:
    stem = stem_of(opened(tuned_spec(trainable="last_n:1"), roots)[1], "words")
    parts = "attention.self.query attention.self.key attention.self.value attention.output.dense"
    parts += " attention.output.LayerNorm intermediate.dense output.dense output.LayerNorm"
    assert trained(stem) == below("encoder.layer.1", parts)
    assert {name for name, _ in stem.tower.named_parameters()} >= below("pooler", "dense")


def test_the_last_block_of_a_vit_and_the_normalisation_behind_it(roots: Roots) -> None:
    stem = stem_of(opened(tuned_spec(trainable="last_n:1"), roots)[1], "face")
    parts = "attention.q_proj attention.k_proj attention.v_proj attention.o_proj"
    parts += " layernorm_before layernorm_after mlp.fc1 mlp.fc2"
    assert trained(stem) == below("layers.1", parts) | {"layernorm.weight", "layernorm.bias"}


def test_the_last_stage_of_a_resnet(roots: Roots) -> None:
    stem = images("resnet_of_stages", "last_n:1", roots)
    inside = "encoder.stages.2.layers.0"
    convolutions = {f"{inside}.{name}.convolution.weight" for name in ("shortcut", "layer.0", "layer.1")}
    assert trained(stem) == convolutions | below(
        inside, "shortcut.normalization layer.0.normalization layer.1.normalization"
    )


def test_the_last_stage_of_a_convnext_which_is_not_its_longest_list(roots: Roots) -> None:
    stem = images("convnext_of_stages", "last_n:1", roots)
    inside = "encoder.stages.3"
    layer = below(f"{inside}.layers.0", "dwconv layernorm pwconv1 pwconv2")
    assert trained(stem) == {
        *layer,
        f"{inside}.layers.0.layer_scale_parameter",
        *below(inside, "downsampling_layer.0 downsampling_layer.1"),
    }  # `layernorm` reads what is pooled, which is not what counts here


def test_all_of_a_bert_but_its_pooler(roots: Roots) -> None:
    stem = stem_of(opened(tuned_spec(), roots)[1], "words")
    every = {name for name, _ in stem.tower.named_parameters()}
    assert every - trained(stem) == {"pooler.dense.weight", "pooler.dense.bias"}


def test_all_of_a_wav2vec_but_its_mask(roots: Roots) -> None:
    stem = stem_of(opened(tuned_spec(("words", "voice")), roots)[1], "voice")
    every = {name for name, _ in stem.tower.named_parameters()}
    assert every - trained(stem) == {"masked_spec_embed"}
    assert "encoder.pos_conv_embed.conv.weight" in every  # and not what weight normalisation makes it from


def test_the_last_blocks_of_a_wav2vec_are_not_its_convolutions(roots: Roots) -> None:
    stem = stem_of(opened(tuned_spec(("words", "voice"), trainable="last_n:1"), roots)[1], "voice")
    assert {name.split(".")[1] for name in trained(stem)} == {"layers"}


def test_more_blocks_than_there_are(roots: Roots) -> None:
    """Told at submission, and by a worker before a sample is read."""
    raw = tuned_spec(trainable="last_n:3")
    spec = JobSpec.model_validate(raw)
    with pytest.raises(DataError) as caught:
        prepare(spec, roots, load_inputs=load_inputs)
    for found in (check(spec.dataset, spec.holdout, roots), caught.value.issues):
        errors = [(issue.code, issue.pointer, issue.hint) for issue in found if issue.severity == "error"]
        assert sorted(errors) == [
            ("encoder.blocks", f"#/dataset/modalities/{k}/encoder/trainable", MANY) for k in (0, 1)
        ]
    assert 'the model has 2 blocks, and trainable is "last_n:3"' in str(caught.value)


MANY = 'set trainable to "last_n:2" at most, or to "all"'


def test_more_blocks_than_the_worker_finds(roots: Roots, tmp_path: Path) -> None:
    """Of a model whose config is not known to count them."""
    shutil.copytree(roots["models"] / "bert", tmp_path / "bert")
    config = tmp_path / "bert" / "config.json"
    told = json.loads(config.read_text()) | {"model_type": "bert-generation"}
    config.write_text(json.dumps(told))
    raw = tuned_spec(("words", "face"), trainable="last_n:1")
    raw["dataset"]["modalities"][0]["encoder"] = encoder("bert", "last_n:3")
    raw["dataset"]["modalities"][1]["encoder"] = encoder("vit", "last_n:1")
    shutil.copytree(roots["models"] / "vit", tmp_path / "vit")
    with pytest.raises(DataError) as caught:
        opened(raw, {**roots, "models": tmp_path})
    assert [(issue.code, issue.pointer, issue.hint) for issue in caught.value.issues] == [
        ("encoder.blocks", "#/dataset/modalities/0/encoder/trainable", MANY)
    ]


@pytest.mark.parametrize("name", sorted(BLOCKS_IN))
def test_the_config_counts_the_blocks_that_a_worker_finds(name: str) -> None:
    """Of real models, without memory for their weights."""
    config = transformers.AutoConfig.for_model(name)
    with torch.device("meta"):
        tower = tower_of(transformers.AutoModel.from_config(config), "text")
    assert blocks_said(json.loads(config.to_json_string(use_diff=False)), "text") == len(blocks_of(tower))


@pytest.mark.parametrize("name", TWO_TOWERS)
@pytest.mark.parametrize("kind", ["text", "image"])
def test_the_config_of_a_tower_counts_its_blocks(name: str, kind: str) -> None:
    config = transformers.AutoConfig.for_model(name)
    with torch.device("meta"):
        tower = tower_of(transformers.AutoModel.from_config(config), kind)
    assert blocks_said(json.loads(config.to_json_string(use_diff=False)), kind) == len(blocks_of(tower))


def test_a_config_that_does_not_count_says_nothing() -> None:
    for config in (
        {"model_type": "git", "num_hidden_layers": 6},  # of one of its towers
        {"model_type": "bert"},
        {"model_type": "bert", "num_hidden_layers": "many"},
        {"model_type": "bert", "num_hidden_layers": True},
        {"model_type": "swin", "depths": []},
        {"model_type": "clip", "text_config": None},
    ):
        assert blocks_said(config, "text") is None


@pytest.mark.parametrize("trainable", ["last_n:1", "all"])
def test_a_step_moves_what_is_trained_and_nothing_else(roots: Roots, trainable: str) -> None:
    data, model = opened(tuned_spec(("words", "face", "voice"), trainable=trainable), roots)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trains = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    model.train()
    for start in (0, 8):
        optimizer.zero_grad()
        sum(output.square().sum() for output in model(inputs(data, list(range(start, start + 8)))).values()).backward()
        optimizer.step()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    # Adding to all keys alike changes no attention: their biases move by rounding and weight decay alone, if at all.
    assert moved <= trains
    assert {name for name in trains - moved if "k_proj.bias" not in name and "key.bias" not in name} == set()


def test_what_is_frozen_stays_in_eval_mode(roots: Roots) -> None:
    _, model = opened(tuned_spec(trainable="last_n:1"), roots)
    model.train()
    stem = stem_of(model, "words")
    layers = stem.tower.get_submodule("encoder.layer")
    assert [part.training for part in layers.children()] == [False, True]
    assert not stem.tower.get_submodule("embeddings.dropout").training
    assert layers.get_submodule("1.attention.output.dropout").training
    assert stem.layer.training
    model.eval()
    assert not any(part.training for part in model.modules())


def test_statistics_of_batches_stay_the_models_own(roots: Roots) -> None:
    stem = images("resnet_of_stages", "all", roots).train()
    before = {name: value.clone() for name, value in stem.named_buffers()}
    stem(torch.randn(4, 3, 32, 32))
    assert all(torch.equal(value, before[name]) for name, value in stem.named_buffers())
    assert not any(module.training for module in stem.modules() if isinstance(module, nn.BatchNorm2d))
    assert "embedder.embedder.normalization.weight" in trained(stem)


def test_copies_share_what_is_frozen_and_nothing_else(roots: Roots) -> None:
    _, model = opened(tuned_spec(trainable="last_n:1"), roots)
    own = dict(model.named_parameters())
    copied = dict(model.copy_of(["words"]).named_parameters())
    shared = {name for name, parameter in copied.items() if parameter is own[name]}
    assert shared == {name for name in copied if not own[name].requires_grad}
    assert len(copied) > len(shared) > 0


@pytest.mark.parametrize(
    "change",
    [{"model_type": "no-such-model"}, {"hidden_size": 24}, {"num_attention_heads": 3}],
    ids=["unknown type", "other size", "heads that do not divide it"],
)
def test_a_model_that_cannot_be_loaded(tmp_path: Path, change: dict[str, Any]) -> None:
    own = write_tuned(tmp_path)
    path = tmp_path / "bert" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError) as caught:
        opened(tuned_spec(), own)
    assert [(issue.code, issue.pointer) for issue in caught.value.issues] == [
        ("encoder.unusable", "#/dataset/modalities/0/encoder/path")
    ]


# what comes out


def test_features_are_those_of_the_frozen_model(roots: Roots, tmp_path: Path) -> None:
    names = ("words", "face", "voice")
    data, model = opened(tuned_spec(names), roots)
    frozen = prepare(
        JobSpec.model_validate(tuned_spec(names, trainable="none")),
        roots,
        featuriser=Featuriser(load_frozen(CPU), FeatureCache(tmp_path, 2**30)),
    )
    rows = np.arange(len(data.sample_ids))
    batch = data.batch(rows)
    model.eval()
    longest = np.flatnonzero(batch["voice"][:, 0] == batch["voice"][:, 0].max())
    for name in names:
        state = frozen.preprocessing[name]
        expected = frozen.batch(rows)[name] * np.array(state["std"]) + np.array(state["mean"])
        with torch.no_grad():
            found = stem_of(model, name).pooled(torch.from_numpy(batch[name])).numpy()
        # wav2vec's first layer normalises over time, so that of shorter sounds the padding counts.
        same = longest if name == "voice" else rows
        assert len(same) >= 6
        np.testing.assert_allclose(found[same], expected[same], atol=1e-5)


def test_features_of_clips_frame_by_frame_and_as_a_whole(roots: Roots) -> None:
    from examples.worked import clips as example

    example.ROWS, rows = 20, example.ROWS
    try:
        example.write(roots["data"])
    finally:
        example.ROWS = rows
    modalities = [
        {"name": name, "type": "video", "column": "clip", "preprocess": {"frames": 4}, "encoder": encoder(model)}
        for name, model in (("whole", "videomae"), ("frames", "vit"))
    ]
    raw = tuned_spec()
    raw["dataset"] = {
        "source": {"type": "manifest", "uri": "data://clips.csv"},
        "target": {"column": "move"},
        "modalities": modalities,
    }
    data, model = opened(raw, roots)
    assert {name: info.shape for name, info in data.modalities.items()} == dict.fromkeys(
        ("whole", "frames"), (4, 3, 16, 16)
    )
    assert model(inputs(data, [0, 1, 2]))["fused"].shape[0] == 3
    modalities[0]["preprocess"] = {"frames": 8}  # of which VideoMAE has no positions
    with pytest.raises(DataError, match=r"encoder\.frames"):
        opened(raw, roots)


@pytest.mark.parametrize(("name", "model"), [("words", "bert_with_class_token"), ("face", "vit")])
def test_the_first_token_alone(roots: Roots, tmp_path: Path, name: str, model: str) -> None:
    raw = tuned_spec()
    place = ["words", "face"].index(name)
    raw["dataset"]["modalities"][place]["encoder"] = encoder(model, pooling="cls")
    data, network = opened(raw, roots)
    raw["dataset"]["modalities"][place]["encoder"] = encoder(model, "none", pooling="cls")
    spec = JobSpec.model_validate(raw)
    featuriser = Featuriser(load_frozen(CPU), FeatureCache(tmp_path, 2**30))
    frozen = prepare(spec, roots, featuriser=featuriser, load_inputs=load_inputs)
    rows = np.arange(len(data.sample_ids))
    state = frozen.preprocessing[name]
    expected = frozen.batch(rows)[name] * np.array(state["std"]) + np.array(state["mean"])
    with torch.no_grad():
        found = stem_of(network.eval(), name).pooled(torch.from_numpy(data.batch(rows)[name])).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("name", "model"), [("words", "bert"), ("words", "gpt2"), ("face", "resnet_of_stages")])
def test_models_without_a_first_token(roots: Roots, name: str, model: str) -> None:
    raw = tuned_spec()
    place = ["words", "face"].index(name)
    raw["dataset"]["modalities"][place]["encoder"] = encoder(model, pooling="cls")
    with pytest.raises(DataError) as caught:
        opened(raw, roots)
    assert [(issue.code, issue.pointer) for issue in caught.value.issues] == [
        ("encoder.no_class_token", f"#/dataset/modalities/{place}/encoder/pooling")
    ]


def test_a_model_of_spectrograms(roots: Roots) -> None:
    raw = tuned_spec(("words", "voice"))
    raw["dataset"]["modalities"][1]["encoder"] = encoder("ast")
    data, model = opened(raw, roots)
    assert data.modalities["voice"].shape == (16, 8)
    stem = stem_of(model, "voice")
    batch = data.batch(np.array([4, 5]))["voice"]
    whole = transformers.ASTModel.from_pretrained(roots["models"] / "ast", attn_implementation="eager").eval()
    with torch.no_grad():
        expected = whole(input_values=torch.from_numpy(batch)).last_hidden_state.mean(1)
    np.testing.assert_allclose(stem.eval().pooled(torch.from_numpy(batch)).detach(), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["words", "face", "voice"])
def test_a_sample_says_the_same_in_any_company(roots: Roots, name: str) -> None:
    data, model = opened(tuned_spec(("words", "face", "voice")), roots)
    model.eval()
    with torch.no_grad():
        together = model(inputs(data, list(range(36))), [name])[name]
        alone = torch.cat([model(inputs(data, [row]), [name])[name] for row in range(36)])
    np.testing.assert_allclose(together.numpy(), alone.numpy(), atol=1e-5)


def test_without_a_row_there_are_gradients_of_zero(roots: Roots) -> None:
    data, model = opened(tuned_spec(("words", "face", "voice"), trainable="last_n:1"), roots)
    batch = {name: values[:0] for name, values in inputs(data, [0]).items()}
    outputs = model(batch)
    assert {output.shape[0] for output in outputs.values()} == {0}
    sum(output.sum() for output in outputs.values()).backward()
    for parameter in model.parameters():
        assert (parameter.grad is not None) == parameter.requires_grad
        assert parameter.grad is None or not parameter.grad.any()


def test_samples_that_lack_the_modality_never_reach_the_model(roots: Roots) -> None:
    data, model = opened(tuned_spec(missing="mask"), roots)
    model.eval()
    batch = inputs(data, [0, 1, 2])
    batch[presence_of("words")] = torch.tensor([1.0, 0.0, 1.0])
    said = model(batch, ["words"])["words"]
    batch["words"][1] = 1e9
    assert torch.equal(model(batch, ["words"])["words"], said)


def test_one_seed_makes_the_same_model(roots: Roots) -> None:
    first, second = (opened(tuned_spec(seed=3), roots)[1].state_dict() for _ in range(2))
    other = opened(tuned_spec(seed=4), roots)[1].state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    name = "encoder_words.stem.layer.layer.weight"
    assert not torch.equal(first[name], other[name])
    pretrained = "encoder_words.stem.tower.encoder.layer.0.output.dense.weight"
    assert torch.equal(first[pretrained], other[pretrained])


# what is kept of a sample


def test_pixels_are_kept_at_eight_bits_and_end_as_the_processor_has_them(roots: Roots) -> None:
    data, _ = opened(tuned_spec(), roots)
    assert data.preprocessing["face"]["pixels"] == {
        "scale": pytest.approx(1 / 255),
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    }
    from PIL import Image

    picture = Image.open(roots["data"] / "clips" / "5.png").convert("RGB")
    expected = tiny_models.processor()(images=picture, return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(data.batch(np.array([5]))["face"][0], expected, atol=1e-5)


def unscaled(folder: Path) -> None:
    path = folder / "preprocessor_config.json"
    path.write_text(path.read_text().replace('"do_rescale": true', '"do_rescale": false'))


def plain(folder: Path) -> None:
    path = folder / "preprocessor_config.json"
    path.write_text(path.read_text().replace('"do_normalize": true', '"do_normalize": false'))


@pytest.mark.parametrize("change", [unscaled, plain])
def test_a_processor_that_leaves_a_step_out(roots: Roots, tmp_path: Path, change: Callable[[Path], None]) -> None:
    tiny_models.vit(tmp_path)
    change(tmp_path)
    files = find_pretrained(PretrainedEncoder(type="transformers", path="models://."), "image", {"models": tmp_path})
    found = inputs_of(files, {"kind": "image"}, "#")
    assert found.pixels is not None
    assert found(np.full((3, 20, 20), 200)).dtype == np.uint8


def test_a_processor_that_does_more_at_the_end_gives_floats(roots: Roots, tmp_path: Path) -> None:
    """Vivit's takes 1 off after scaling."""
    tiny_models.videomae(tmp_path)
    transformers.VivitImageProcessor(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}, offset=True
    ).save_pretrained(tmp_path)
    files = find_pretrained(PretrainedEncoder(type="transformers", path="models://."), "video", {"models": tmp_path})
    found = inputs_of(files, {"kind": "video"}, "#")
    assert found.pixels is None
    clip = found(np.full((4, 3, 20, 20), 255))
    assert (clip.dtype, clip.shape) == (np.float32, (4, 3, 16, 16))


def test_texts_end_at_max_tokens_and_are_padded_to_the_longest_of_t(roots: Roots) -> None:
    data, _ = opened(tuned_spec(), roots)
    assert data.modalities["words"].shape == (6,)
    assert data.batch(np.array([1]))["words"].tolist() == [
        [*(float(tiny_models.WORDS.index(word)) for word in ("bad", "dog", "w1")), -1.0, -1.0, -1.0]
    ]
    raw = tuned_spec()
    raw["dataset"]["modalities"][0]["preprocess"] = {"max_tokens": 2}
    assert opened(raw, roots)[0].modalities["words"].shape == (2,)


def test_inputs_that_would_not_fit_are_refused(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.data.modalities.base.MAX_STORE_BYTES", 36 * 3 * 16 * 16 - 1)
    with pytest.raises(DataError, match=r"data\.too_large"):
        opened(tuned_spec(), roots)


def test_files_of_another_model_make_other_data(roots: Roots, tmp_path: Path) -> None:
    first = opened(tuned_spec(), roots)[0].fingerprint
    for name in ("bert", "vit"):
        (tmp_path / name).mkdir()
    tiny_models.bert(tmp_path / "bert", seed=1)
    tiny_models.vit(tmp_path / "vit")
    assert opened(tuned_spec(), {**roots, "models": tmp_path})[0].fingerprint != first


def test_files_that_change_before_the_weights_are_read(roots: Roots, tmp_path: Path) -> None:
    """What is trained would not be what the data's fingerprint says. The same bytes written again are the same."""
    for name in ("bert", "vit"):
        shutil.copytree(roots["models"] / name, tmp_path / name)
    spec = JobSpec.model_validate(tuned_spec())
    data = prepare(spec, {**roots, "models": tmp_path}, load_inputs=load_inputs)
    weights = tmp_path / "bert" / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content)
    build_model(spec, data.modalities, data.outputs, data.tuned)
    for change in (lambda: weights.write_bytes(content[:-1] + b"\x00"), weights.unlink):
        change()
        with pytest.raises(DataError) as caught:
            build_model(spec, data.modalities, data.outputs, data.tuned)
        assert [(issue.code, issue.pointer) for issue in caught.value.issues] == [
            ("encoder.changed", "#/dataset/modalities/0/encoder/path")
        ]


def test_a_sound_that_is_too_short_is_a_bad_sample(roots: Roots, tmp_path: Path) -> None:
    from tests.unit.data.builders import tone, wav

    again = write_tuned(tmp_path)
    (tmp_path / "clips" / "3.wav").write_bytes(wav(tone(400.0, 0.001)))
    raw = tuned_spec(("words", "voice"))
    raw["dataset"]["on_bad_sample"] = {"action": "drop", "max_fraction": 0.1}
    data = opened(raw, again)[0]
    assert len(data.sample_ids) == 35
    assert "file.undecodable" in [warning.code for warning in data.warnings]
