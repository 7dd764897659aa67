"""Frozen models: their features are those of `transformers` itself, computed once, kept, and never from a pickle."""

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
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from core.data.dataset import PreparedData, prepare
from core.data.feature_cache import FeatureCache
from core.data.features import Featuriser, LoadModel
from core.data.modalities import decode_sample
from core.data.modalities.base import State
from core.data.pretrained import PretrainedFiles, find_pretrained
from core.data.validation import check
from core.errors import DataError
from core.models.inputs import load_inputs
from core.models.pretrained import computed_by, load_frozen
from core.spec.data import PretrainedEncoder
from tests import tiny_models
from tests.unit.data.builders import clips, errors, job, table_rows, table_spec, tone, warnings, wav, write_csv

CPU = torch.device("cpu")
Roots = dict[str, Path]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for make in tiny_models.ALL:
        (folder / make.__name__).mkdir()
        make(folder / make.__name__)
    return folder


@pytest.fixture
def roots(tmp_path: Path, models: Path) -> Roots:
    (tmp_path / "data").mkdir()
    shutil.copytree(models, tmp_path / "models")
    return {"data": tmp_path / "data", "models": tmp_path / "models"}


class Counting:
    """Loads models, and counts how often, and how many samples they see."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.seen = 0

    def __call__(self, files: PretrainedFiles, how: State, pointer: str) -> Any:
        model = load_frozen(CPU)(files, how, pointer)
        self.loaded.append(how["kind"])
        counting = self

        class Model:
            def features(self, samples: Any) -> Any:
                counting.seen += len(samples)
                return model.features(samples)

        return Model()


def featuriser(folder: Path, load: LoadModel | None = None, most_bytes: int = 2**30) -> Featuriser:
    return Featuriser(load or load_frozen(CPU), FeatureCache(folder / "features", most_bytes))


def encoder(name: str) -> dict[str, Any]:
    return {"type": "transformers", "path": f"models://{name}", "features": 8}


def texts(roots: Roots, n: int = 24) -> dict[str, Any]:
    """Twenty-four rows with texts of which some are the same."""
    words = ["good red cat", "bad blue dog", "good cat", "bad dog bad", "w1 w2 w3 w4 w5", "nothing known"]
    rows = [
        {**row, "split": "train" if i < 16 else "test", "words": words[i % 6]} for i, row in enumerate(table_rows(n))
    ]
    write_csv(roots["data"] / "t.csv", rows)
    modality = {"name": "words", "type": "text", "column": "words", "encoder": encoder("bert")}
    return table_spec(modalities=[modality, table_spec()["modalities"][0]])


def media(roots: Roots, **changes: Any) -> dict[str, Any]:
    rows = clips(roots["data"] / "clips", n=24)
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    return {
        "source": {"type": "manifest", "uri": "data://clips/manifest.csv"},
        "sample_id": "id",
        "target": {"column": "label"},
        "modalities": [
            {"name": "voice", "type": "audio", "column": "sound", "encoder": encoder("wav2vec")},
            {"name": "face", "type": "image", "column": "picture", "encoder": encoder("vit")},
        ],
        "split": {"method": "column", "column": "split"},
        **changes,
    }


def raw_features(data: PreparedData, name: str) -> NDArray[np.float64]:
    """The features before they are standardised, of all rows."""
    state = data.preprocessing[name]
    rows = np.arange(len(data.sample_ids), dtype=np.int64)
    return data.batch(rows)[name] * np.array(state["std"]) + np.array(state["mean"])


# what is computed


def test_features_of_texts_are_the_mean_over_their_tokens(roots: Roots, tmp_path: Path) -> None:
    data = prepare(job(texts(roots)), roots, featuriser=featuriser(tmp_path))
    assert data.modalities["words"].kind == "embedding"
    assert data.modalities["words"].shape == (tiny_models.WIDTH,)
    model = transformers.BertModel.from_pretrained(roots["models"] / "bert", add_pooling_layer=False).eval()
    ids = [tiny_models.WORDS.index(word) for word in ["good", "red", "cat"]]
    with torch.no_grad():
        expected = model(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0).numpy()
    np.testing.assert_allclose(raw_features(data, "words")[0], expected, atol=1e-5)
    np.testing.assert_allclose(raw_features(data, "words")[6], expected, atol=1e-5)  # the same text


def test_features_of_images_and_sounds(roots: Roots, tmp_path: Path) -> None:
    data = prepare(job(media(roots)), roots, featuriser=featuriser(tmp_path))
    assert {name: info.shape for name, info in data.modalities.items()} == {"voice": (16,), "face": (16,)}
    image = Image.open(roots["data"] / "clips" / "3.png").convert("RGB")
    vit = transformers.ViTModel.from_pretrained(roots["models"] / "vit", add_pooling_layer=False).eval()
    with torch.no_grad():
        pixels = tiny_models.processor()(images=image, return_tensors="pt")["pixel_values"]
        expected = vit(pixel_values=pixels).last_hidden_state[0].mean(0).numpy()
    np.testing.assert_allclose(raw_features(data, "face")[3], expected, atol=1e-5)
    assert np.ptp(raw_features(data, "voice"), axis=0).max() > 0.0


def test_features_of_clips(roots: Roots, tmp_path: Path) -> None:
    from examples.worked import clips as example

    example.ROWS, rows = 20, example.ROWS
    try:
        example.write(roots["data"])
    finally:
        example.ROWS = rows
    data = prepare(
        job(
            {
                "source": {"type": "manifest", "uri": "data://clips.csv"},
                "target": {"column": "move"},
                "modalities": [
                    {
                        "name": name,
                        "type": "video",
                        "column": "clip",
                        "preprocess": {"frames": 4},
                        "encoder": encoder(model),
                    }
                    for name, model in (("clip", "videomae"), ("frames", "vit"))
                ],
            }
        ),
        roots,
        featuriser=featuriser(tmp_path),
    )
    assert {name: info.shape for name, info in data.modalities.items()} == {"clip": (16,), "frames": (16,)}


def test_features_are_standardised_on_t_alone(roots: Roots, tmp_path: Path) -> None:
    data = prepare(job(texts(roots)), roots, featuriser=featuriser(tmp_path))
    train = data.batch(data.split.train)["words"]
    np.testing.assert_allclose(train.mean(axis=0), 0.0, atol=1e-5)


@pytest.mark.parametrize(("name", "kind"), [("bert_with_class_token", "text"), ("vit", "image")])
def test_the_first_token_in_the_place_of_the_mean(models: Path, name: str, kind: str) -> None:
    spec = PretrainedEncoder(type="transformers", path=f"models://{name}", pooling="cls")
    files = find_pretrained(spec, kind, {"models": models})
    sample = "good red cat" if kind == "text" else np.arange(3 * 8 * 8, dtype=np.float32).reshape(3, 8, 8)
    (found,) = load_frozen(CPU)(files, {"kind": kind, "pooling": "cls"}, "#").features([sample])
    model = transformers.AutoModel.from_pretrained(models / name).eval()
    with torch.no_grad():
        if kind == "text":
            inputs = {"input_ids": torch.tensor([[tiny_models.WORDS.index(w) for w in ("w0", "good", "red", "cat")]])}
        else:
            pixels = np.asarray(sample).transpose(1, 2, 0).astype(np.uint8)
            inputs = tiny_models.processor()(images=pixels, return_tensors="pt")
        hidden = model(**inputs).last_hidden_state[0]
    np.testing.assert_allclose(found, hidden[0].numpy(), atol=1e-6)
    (mean,) = load_frozen(CPU)(files, {"kind": kind, "pooling": "mean"}, "#").features([sample])
    np.testing.assert_allclose(mean, hidden.mean(0).numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "kind"), [("wav2vec", "audio"), ("videomae", "video"), ("resnet", "image"), ("convnext", "image")]
)
def test_a_model_without_a_class_token_is_told_by_its_weights(models: Path, name: str, kind: str) -> None:
    spec = PretrainedEncoder(type="transformers", path=f"models://{name}", pooling="cls")
    with pytest.raises(DataError) as caught:
        find_pretrained(spec, kind, {"models": models}, "#/dataset/modalities/1/encoder/path")
    (issue,) = caught.value.issues
    assert (issue.code, issue.pointer) == ("encoder.no_class_token", "#/dataset/modalities/1/encoder/pooling")
    assert issue.hint == "set pooling to 'mean'"


@pytest.mark.parametrize(("name", "why"), [("bert", "adds none"), ("gpt2", "from left to right")])
def test_a_model_of_texts_without_a_class_token_is_told_when_it_is_loaded(models: Path, name: str, why: str) -> None:
    spec = PretrainedEncoder(type="transformers", path=f"models://{name}", pooling="cls")
    files = find_pretrained(spec, "text", {"models": models})
    with pytest.raises(DataError, match=why) as caught:
        load_frozen(CPU)(files, {"kind": "text", "pooling": "cls"}, "#/dataset/modalities/1/encoder/path")
    assert [(issue.code, issue.pointer) for issue in caught.value.issues] == [
        ("encoder.no_class_token", "#/dataset/modalities/1/encoder/pooling")
    ]


@pytest.mark.parametrize("name", ["resnet", "convnext"])
def test_models_whose_states_are_those_of_places(models: Path, name: str) -> None:
    """Where their weights would promise a token all the same, they say that there is none."""
    files = find_pretrained(
        PretrainedEncoder(type="transformers", path=f"models://{name}"), "image", {"models": models}
    )
    picture = np.zeros((3, 32, 32), dtype=np.float32)
    assert load_frozen(CPU)(files, {"kind": "image"}, "#").features([picture]).shape == (1, tiny_models.WIDTH)
    with pytest.raises(DataError, match=r"encoder\.no_class_token"):
        load_frozen(CPU)(files, {"kind": "image", "pooling": "cls"}, "#").features([picture])


def test_pooling_is_told_to_the_worker_and_has_features_of_its_own(roots: Roots, tmp_path: Path) -> None:
    spec = media(roots)
    del spec["modalities"][0]["encoder"]
    counting = Counting()
    first = prepare(job(spec), roots, featuriser=featuriser(tmp_path, counting))
    spec["modalities"][1]["encoder"]["pooling"] = "cls"
    second = prepare(job(spec), roots, featuriser=featuriser(tmp_path, counting))
    assert counting.loaded == ["image", "image"]
    assert np.abs(raw_features(first, "face") - raw_features(second, "face")).max() > 0.01
    assert second.preprocessing["face"]["frozen"]["pooling"] == "cls"


@pytest.mark.parametrize(("most", "words"), [(3, 3), (1, 1), (8000, 16)])
def test_max_tokens_counts_and_what_the_model_takes(roots: Roots, tmp_path: Path, most: int, words: int) -> None:
    spec = texts(roots)
    spec["modalities"][0]["preprocess"] = {"max_tokens": most}
    maker = featuriser(tmp_path)
    frozen = prepare(job(spec), roots, featuriser=maker).preprocessing["words"]["frozen"]
    assert frozen["max_tokens"] == words
    files = find_pretrained(PretrainedEncoder(type="transformers", path="models://bert"), "text", roots)
    long = " ".join(tiny_models.WORDS[2:26])
    short = " ".join(tiny_models.WORDS[2 : 2 + words])
    np.testing.assert_array_equal(maker.encode(long, frozen, files), maker.encode(short, frozen, files))
    if words > 1:
        shorter = short.rpartition(" ")[0]
        assert not np.allclose(maker.encode(long, frozen, files), maker.encode(shorter, frozen, files))


def test_a_token_of_the_text_stays_beside_those_that_are_added(models: Path) -> None:
    spec = PretrainedEncoder(type="transformers", path="models://bert_with_class_token")
    how = {"kind": "text", "max_tokens": 1}
    model = load_frozen(CPU)(find_pretrained(spec, "text", {"models": models}), how, "#")
    np.testing.assert_array_equal(model.features(["good red cat"]), model.features(["good"]))


def test_a_batch_does_not_change_a_features(roots: Roots) -> None:
    spec = PretrainedEncoder(type="transformers", path="models://bert")
    model = load_frozen(CPU)(find_pretrained(spec, "text", roots), {"kind": "text"}, "#")
    together = model.features(["good", "bad blue dog cat red good", "w1 w2"])
    alone = np.concatenate([model.features([text]) for text in ("good", "bad blue dog cat red good", "w1 w2")])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_sample_gives_the_same_bits_in_any_company(roots: Roots) -> None:
    spec = PretrainedEncoder(type="transformers", path="models://bert")
    model = load_frozen(CPU)(find_pretrained(spec, "text", roots), {"kind": "text"}, "#")
    together = model.features(["w1 w2 w3 w4 w5 w6", "good"])
    assert np.array_equal(together[1:], model.features(["good"]))


def test_a_sound_that_is_too_short_is_a_bad_sample(roots: Roots, tmp_path: Path) -> None:
    spec = media(roots, on_bad_sample={"action": "drop", "max_fraction": 0.2})
    (roots["data"] / "clips" / "3.wav").write_bytes(wav(tone(400.0, 0.001)))
    data = prepare(job(spec), roots, featuriser=featuriser(tmp_path))
    assert len(data.sample_ids) == 23
    assert "file.undecodable" in [warning.code for warning in data.warnings]


def test_a_tokenizer_of_another_model(roots: Roots, tmp_path: Path) -> None:
    path = roots["models"] / "bert" / "tokenizer.json"
    raw = json.loads(path.read_text())
    raw["model"]["vocab"] |= {f"more{k}": 100 + k for k in range(9)}
    path.write_text(json.dumps(raw))
    with pytest.raises(DataError, match=r"encoder\.unusable"):
        prepare(job(texts(roots)), roots, featuriser=featuriser(tmp_path))


def test_a_text_that_is_too_long_loses_its_end(roots: Roots) -> None:
    spec = PretrainedEncoder(type="transformers", path="models://bert")
    model = load_frozen(CPU)(find_pretrained(spec, "text", roots), {"kind": "text"}, "#")
    np.testing.assert_allclose(model.features(["cat " * 40]), model.features(["cat " * 16]), atol=1e-6)


def test_a_new_sample_has_the_same_features(roots: Roots, tmp_path: Path) -> None:
    spec = job(media(roots))
    maker = featuriser(tmp_path)
    data = prepare(spec, roots, featuriser=maker)
    files = {
        kind: find_pretrained(PretrainedEncoder(type="transformers", path=f"models://{name}"), kind, roots)
        for kind, name in (("audio", "wav2vec"), ("image", "vit"))
    }
    sample = decode_sample(
        data.preprocessing,
        {"voice": roots["data"] / "clips" / "5.wav", "face": (roots["data"] / "clips" / "5.png").read_bytes()},
        lambda value, state: maker.encode(value, state, files[state["kind"]]),
    )
    expected = data.batch(np.array([5]))
    for name in ("voice", "face"):
        np.testing.assert_allclose(sample[name], expected[name], atol=1e-5)


# once


def test_each_sample_goes_through_the_model_once_whoever_needs_it(roots: Roots, tmp_path: Path) -> None:
    counting = Counting()
    spec = texts(roots)
    first = prepare(job(spec), roots, featuriser=featuriser(tmp_path, counting))
    assert (counting.loaded, counting.seen) == (["text"], 6)  # six different texts in twenty-four rows
    other = {**spec, "split": {"method": "draw", "seed": 4}}
    second = prepare(job(other, seed=9, holdout={"fraction": 0.3}), roots, featuriser=featuriser(tmp_path, counting))
    assert (counting.loaded, counting.seen) == (["text"], 6)
    np.testing.assert_array_equal(np.round(raw_features(first, "words"), 4), np.round(raw_features(second, "words"), 4))


def test_only_new_rows_are_computed(roots: Roots, tmp_path: Path) -> None:
    counting = Counting()
    spec = texts(roots)
    prepare(job(spec), roots, featuriser=featuriser(tmp_path, counting))
    table = roots["data"] / "t.csv"
    table.write_text(table.read_text() + "a,train,3,p,w9 w8\n")
    prepare(job(spec), roots, featuriser=featuriser(tmp_path, counting))
    assert (counting.loaded, counting.seen) == (["text", "text"], 7)


def test_another_model_has_features_of_its_own(roots: Roots, tmp_path: Path) -> None:
    counting = Counting()
    spec = job(texts(roots))
    first = prepare(spec, roots, featuriser=featuriser(tmp_path, counting))
    again = prepare(spec, roots, featuriser=featuriser(tmp_path, counting))
    tiny_models.bert(roots["models"] / "bert", seed=1)
    second = prepare(spec, roots, featuriser=featuriser(tmp_path, counting))
    assert counting.seen == 12
    assert np.abs(raw_features(first, "words") - raw_features(second, "words")).max() > 0.01
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != second.fingerprint


def test_what_is_computed_otherwise_is_not_found(roots: Roots, tmp_path: Path) -> None:
    counting = Counting()
    here = computed_by(CPU)
    elsewhere: list[dict[str, str]] = [
        {**here, "device": "cuda"},
        {**here, "transformers": "5.22"},
        {**here, "torch": "2.12"},
        {**here, "dtype": "bfloat16"},
    ]
    for number, runtime in enumerate([here, *elsewhere, here], start=1):
        cache = FeatureCache(tmp_path / "features", 2**30)
        prepare(job(texts(roots)), roots, featuriser=Featuriser(counting, cache, computed_by=runtime))
        assert counting.seen == 6 * min(number, 5)


def test_what_computes_features_is_named_to_the_minor_version() -> None:
    told = computed_by(CPU)
    assert told["torch"] == ".".join(torch.__version__.split(".")[:2])
    assert told["transformers"] == ".".join(transformers.__version__.split(".")[:2])
    assert (told["device"], told["dtype"]) == ("cpu", "float32")
    assert computed_by(torch.device("cuda", 1))["device"] == "cuda"


@pytest.mark.parametrize("damage", ["npy", "json", "cut"])
def test_damaged_features_are_computed_again(roots: Roots, tmp_path: Path, damage: str) -> None:
    counting = Counting()
    spec = job(texts(roots))
    first = raw_features(prepare(spec, roots, featuriser=featuriser(tmp_path, counting)), "words")
    (path,) = (tmp_path / "features").glob(f"*/*.{'json' if damage == 'json' else 'npy'}")
    content = path.read_bytes()
    path.write_bytes(content[:-40] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    second = raw_features(prepare(spec, roots, featuriser=featuriser(tmp_path, counting)), "words")
    assert counting.seen == 12
    np.testing.assert_array_equal(first, second)
    prepare(spec, roots, featuriser=featuriser(tmp_path, counting))
    assert counting.seen == 12  # and kept again


def test_where_nothing_can_be_kept_it_works_all_the_same(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "features").write_text("a file where the folder should be")
    counting = Counting()
    for _ in range(2):
        prepare(job(texts(roots)), roots, featuriser=featuriser(tmp_path, counting))
    assert counting.seen == 12


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    vectors = np.ones((10, 16), dtype=np.float32)
    cache = FeatureCache(tmp_path, most_bytes=3 * 1600)
    digests = [[bytes([k, place]) * 16 for place in range(10)] for k in range(4)]
    for k in range(4):
        cache.add("key", digests[k], vectors)
        for index in tmp_path.glob("*/*.json"):  # whole seconds apart, whatever the file system keeps
            status = index.stat()
            __import__("os").utime(index, (status.st_atime - 10, status.st_mtime - 10))
    assert cache.find("key", digests[0]) == {}
    assert len(cache.find("key", digests[3])) == 10


# what is refused


def refused(roots: Roots, change: Callable[[Path], object], name: str = "bert") -> list[tuple[str, str | None]]:
    spec = job(texts(roots))
    change(roots["models"] / name)
    found = errors(check(spec.dataset, spec.holdout, roots))
    with pytest.raises(DataError) as caught:
        prepare(spec, roots, featuriser=featuriser(roots["data"]))
    assert [(issue.code, issue.pointer) for issue in caught.value.issues] == found  # the worker says the same
    return found


def edited(**changes: Any) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    return edit


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def cut(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-7])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (pickled, "encoder.no_safetensors"),
        (edited(auto_map={"AutoModel": "evil.Model"}), "encoder.remote_code"),
        (edited(model_type=None), "encoder.malformed"),
        (cut, "encoder.malformed"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "encoder.not_found"),
        (lambda folder: (folder / "config.json").unlink(), "encoder.not_found"),
        (lambda folder: (folder / "config.json").write_text("{"), "encoder.malformed"),
        (lambda folder: shutil.rmtree(folder), "encoder.not_found"),
    ],
)
def test_models_that_are_not_loaded_are_told_at_submission(
    roots: Roots, change: Callable[[Path], object], code: str
) -> None:
    assert refused(roots, change) == [(code, "#/dataset/modalities/0/encoder/path")]


@pytest.mark.parametrize(
    ("kind", "changes", "told"),
    [
        ("image", {"size": {"height": 100_000, "width": 100_000}}, "encoder.malformed"),
        ("image", {"size": 0}, "encoder.malformed"),
        ("audio", {"sampling_rate": 0}, "encoder.malformed"),
        ("audio", {"sampling_rate": "fast"}, "encoder.malformed"),
        ("audio", {"sampling_rate": True}, "encoder.malformed"),
    ],
)
def test_a_processor_that_cannot_be_used_is_told_at_submission(
    roots: Roots, kind: str, changes: dict[str, Any], told: str
) -> None:
    """The first would take 30 GB a picture, the second nothing, and a rate of 0 ends the process."""
    raw = media(roots)
    place = next(k for k, modality in enumerate(raw["modalities"]) if modality["type"] == kind)
    path = roots["models"] / raw["modalities"][place]["encoder"]["path"].removeprefix("models://")
    config = path / "preprocessor_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    spec = job(raw)
    found = [issue for issue in check(spec.dataset, spec.holdout, roots) if issue.severity == "error"]
    assert [(issue.code, issue.pointer) for issue in found] == [(told, f"#/dataset/modalities/{place}/encoder/path")]


@pytest.mark.parametrize(("kind", "model"), [("image", "wav2vec"), ("audio", "vit")])
def test_a_model_of_another_type_is_told_at_submission(roots: Roots, kind: str, model: str) -> None:
    raw = media(roots)
    place = next(k for k, modality in enumerate(raw["modalities"]) if modality["type"] == kind)
    raw["modalities"][place]["encoder"]["path"] = f"models://{model}"
    spec = job(raw)
    found = [issue for issue in check(spec.dataset, spec.holdout, roots) if issue.severity == "error"]
    assert [(issue.code, issue.pointer) for issue in found] == [
        ("encoder.other_type", f"#/dataset/modalities/{place}/encoder/path")
    ]
    assert found[0].hint == ("name a model of sounds" if kind == "audio" else "name a model of images")


@pytest.mark.parametrize("trainable", ["none", "all"])
def test_a_model_that_reads_no_sample_is_at_fault_itself(roots: Roots, tmp_path: Path, trainable: str) -> None:
    """Not 24 damaged files: its processor makes pictures of a size that it does not take, or makes none."""
    raw = media(roots)
    place = next(k for k, modality in enumerate(raw["modalities"]) if modality["type"] == "image")
    raw["modalities"][place]["encoder"]["trainable"] = trainable
    config = roots["models"] / "vit" / "preprocessor_config.json"
    changes = {"size": {"height": 32, "width": 32}} if trainable == "none" else {"image_mean": [0.5] * 4}
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    with pytest.raises(DataError) as caught:
        prepare(job(raw), roots, featuriser=featuriser(tmp_path), load_inputs=load_inputs)
    (issue,) = (issue for issue in caught.value.issues if issue.severity == "error")
    assert (issue.code, issue.pointer) == ("encoder.unusable", f"#/dataset/modalities/{place}/encoder/path")
    assert issue.detail.startswith("the model can read none of 24 samples; of the last one: ")


def test_memory_that_runs_out_is_no_samples_fault(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample that is told to be bad may be dropped, and the data set would depend on who else uses the device."""
    spec = PretrainedEncoder(type="transformers", path="models://bert")
    model = load_frozen(CPU)(find_pretrained(spec, "text", roots), {"kind": "text"}, "#")

    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(transformers.BertModel, "forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        model.features(["good"])


def test_what_the_library_says_is_told_without_the_workers_paths(roots: Roots, tmp_path: Path) -> None:
    config = roots["models"] / "vit" / "preprocessor_config.json"
    config.write_text(json.dumps({"image_processor_type": "NoSuchProcessor"}))
    with pytest.raises(DataError) as caught:
        prepare(job(media(roots)), roots, featuriser=featuriser(tmp_path))
    told = [issue.detail for issue in caught.value.issues if issue.code == "encoder.unusable"]
    assert [text.startswith("the processor cannot be loaded: Unrecognized image processor") for text in told] == [True]
    assert str(roots["models"]) not in told[0]


def not_finite(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = sorted(weights)[0]
    weights[name] = torch.full_like(weights[name], float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_clips_of_another_length_than_the_models(roots: Roots, tmp_path: Path) -> None:
    (roots["data"] / "v.csv").write_text("clip,x,label\n" + "".join(f"{k}.mp4,{k},{'ab'[k % 2]}\n" for k in range(8)))
    for k in range(8):
        (roots["data"] / f"{k}.mp4").write_bytes(b"no clip")
    modalities: list[dict[str, Any]] = [
        {"name": "meta", "type": "tabular", "columns": [{"name": "x", "type": "number"}]},
        {"name": "clip", "type": "video", "column": "clip", "encoder": encoder("videomae")},
    ]
    raw = {
        "source": {"type": "manifest", "uri": "data://v.csv"},
        "target": {"column": "label"},
        "modalities": modalities,
    }
    spec = job(raw)
    found = [issue for issue in check(spec.dataset, spec.holdout, roots) if issue.code == "encoder.frames"]
    assert [(issue.pointer, issue.hint) for issue in found] == [
        ("#/dataset/modalities/1/preprocess/frames", "set preprocess.frames to 4")
    ]
    with pytest.raises(DataError) as caught:
        prepare(spec, roots, featuriser=featuriser(tmp_path))
    assert found[0] in caught.value.issues
    modalities[1]["preprocess"] = {"frames": 4}
    spec = job(raw)
    assert "encoder.frames" not in [issue.code for issue in check(spec.dataset, spec.holdout, roots)]


def test_a_link_that_leads_out_of_the_root(roots: Roots, tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").rename(tmp_path / "outside.safetensors")
        (folder / "model.safetensors").symlink_to(tmp_path / "outside.safetensors")

    assert refused(roots, change) == [("source.forbidden", "#/dataset/modalities/0/encoder/path")]


@pytest.mark.parametrize(
    "change",
    [
        edited(model_type="no-such-model"),
        edited(hidden_size=24),
        lambda folder: save_file({"x": torch.zeros(2)}, folder / "model.safetensors", metadata={"format": "pt"}),
        lambda folder: (folder / "tokenizer.json").write_text("{}"),
        not_finite,
    ],
    ids=["unknown type", "other size", "other tensors", "no tokenizer", "weights that are NaN"],
)
def test_what_only_loading_shows_is_told_in_the_worker(roots: Roots, change: Callable[[Path], object]) -> None:
    spec = job(texts(roots))
    change(roots["models"] / "bert")
    assert warnings(check(spec.dataset, spec.holdout, roots)) == []
    with pytest.raises(DataError) as caught:
        prepare(spec, roots, featuriser=featuriser(roots["data"]))
    assert [(issue.code, issue.pointer) for issue in caught.value.issues] == [
        ("encoder.unusable", "#/dataset/modalities/0/encoder/path")
    ]


def test_bad_files_are_bad_samples_as_ever(roots: Roots, tmp_path: Path) -> None:
    spec = media(roots, on_bad_sample={"action": "drop", "max_fraction": 0.2})
    (roots["data"] / "clips" / "3.png").write_bytes(b"no image")
    data = prepare(job(spec), roots, featuriser=featuriser(tmp_path))
    assert len(data.sample_ids) == 23
    assert "file.format" in [warning.code for warning in data.warnings]


def test_rows_that_lack_a_modality_are_not_encoded(roots: Roots, tmp_path: Path) -> None:
    spec = texts(roots)
    table = roots["data"] / "t.csv"
    lines = table.read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + ","
    table.write_text("\n".join(lines) + "\n")
    spec["modalities"][0]["missing"] = "mask"
    counting = Counting()
    data = prepare(job(spec), roots, featuriser=featuriser(tmp_path, counting))
    assert counting.seen == 6
    assert data.batch(np.array([2]))["words:present"].tolist() == [0.0]
    assert data.batch(np.array([2]))["words"].tolist() == [[0.0] * 16]


class CountedFiles(PretrainedFiles):
    """Counts how often the files are read to be hashed."""

    hashed = 0

    def digest(self) -> str:
        CountedFiles.hashed += 1
        return super().digest()


def test_new_samples_load_and_hash_the_model_once(roots: Roots, tmp_path: Path) -> None:
    counting = Counting()
    data = prepare(job(texts(roots)), roots, featuriser=featuriser(tmp_path))
    maker, frozen = featuriser(tmp_path, counting), data.preprocessing["words"]["frozen"]
    CountedFiles.hashed = 0
    found = find_pretrained(PretrainedEncoder(type="transformers", path="models://bert"), "text", roots)
    files = CountedFiles(found.folder, found.config, found.processor, found.files)
    for text in ("good", "bad", "good cat"):
        maker.encode(text, frozen, files)
    assert (counting.loaded, counting.seen, CountedFiles.hashed) == (["text"], 3, 1)


def test_a_featuriser_that_has_a_model_sees_that_its_files_change(roots: Roots, tmp_path: Path) -> None:
    counting = Counting()
    data = prepare(job(texts(roots)), roots, featuriser=featuriser(tmp_path))
    maker, frozen = featuriser(tmp_path, counting), data.preprocessing["words"]["frozen"]
    files = find_pretrained(PretrainedEncoder(type="transformers", path="models://bert"), "text", roots)
    before = maker.encode("good cat", frozen, files)
    tiny_models.bert(roots["models"] / "bert", seed=1)
    with pytest.raises(DataError, match=r"encoder\.changed"):
        maker.encode("good cat", frozen, files)
    tiny_models.bert(roots["models"] / "bert", seed=0)  # the old ones are back
    np.testing.assert_array_equal(maker.encode("good cat", frozen, files), before)


def test_a_model_whose_files_changed_answers_nothing(roots: Roots, tmp_path: Path) -> None:
    maker = featuriser(tmp_path)
    data = prepare(job(texts(roots)), roots, featuriser=maker)
    tiny_models.bert(roots["models"] / "bert", seed=1)
    files = find_pretrained(PretrainedEncoder(type="transformers", path="models://bert"), "text", roots)
    with pytest.raises(DataError, match=r"encoder\.changed"):
        maker.encode("good", data.preprocessing["words"]["frozen"], files)
