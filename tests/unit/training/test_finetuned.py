"""Runs whose encoders hold pretrained models: the same bits however often they are cut off, and wherever they go."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from core.data.dataset import prepare
from core.errors import ArtifactError
from core.models.inputs import load_inputs
from core.spec import JobSpec
from core.spec.base import FINE_TUNED
from core.training import checkpoint
from core.training.drive import EXIT_DONE, EXIT_STOPPED, commit, drive
from core.training.journal import Journal
from core.training.run import run
from core.training.saved import load_saved
from core.training.session import Session
from tests.tuned import tuned_spec, write_tuned
from tests.unit.training.test_resume import never, outcome

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    return write_tuned(tmp_path_factory.mktemp("tuned"))


@pytest.fixture
def open_tuned(roots):
    return lambda spec: Session(spec, prepare(spec, roots, load_inputs=load_inputs), CPU)


def estimated(estimator: dict[str, Any], **changes: Any) -> JobSpec:
    blending = {"strategy": "online", "super_epochs": {"first": 1, "later": 1}, "estimator": estimator}
    return JobSpec.model_validate(tuned_spec(blending=blending, **changes))


ESTIMATORS = [{"type": "exact"}, {"type": "gradient", "steps": 2}, {"type": "trajectory"}]


@pytest.mark.parametrize("trainable", ["last_n:1", "all"])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator["type"])
def test_every_estimator_runs_and_can_be_cut_off_anywhere(
    estimator, trainable, open_tuned, make_run_dir, make_meter, tmp_path
):
    """The models' own dropout is active in training: random streams matter."""
    spec = estimated(estimator, trainable=trainable)
    whole = make_run_dir(spec, "whole")
    session, journal, cuts = open_tuned(spec), Journal(whole), []
    for event in run(session, make_meter(session), whole):
        commit(session, journal, event, whole)
        cuts.append(shutil.copytree(whole, tmp_path / f"cut{journal.number}"))
    stopped = make_run_dir(spec, "stopped")
    calls = iter([False] * 5 + [True] * 1000)
    assert drive(stopped, lambda: next(calls)) == EXIT_STOPPED
    for number, cut in enumerate([*cuts[2::4], stopped]):
        resumed = make_run_dir(spec, f"resumed{number}", resume_from=[cut])
        assert drive(resumed, never) == EXIT_DONE
        assert outcome(resumed) == outcome(whole), cut.name
    assert [entry["policy"] for entry in session.counters.history] == (
        ["warm_up", "shrunk"] if estimator["type"] == "trajectory" else ["shrunk", "shrunk"]
    )


@pytest.mark.parametrize("strategy", ["naive", "ogm_ge", "mmpareto", "uncertainty", "ensemble"])
def test_every_rule_takes_parameters_without_gradients(strategy, open_tuned, make_meter, tmp_path):
    spec = JobSpec.model_validate(tuned_spec(trainable="last_n:1", blending={"strategy": strategy}))
    session = open_tuned(spec)
    before = {name: value.clone() for name, value in session.model.state_dict().items()}
    list(run(session, make_meter(session), tmp_path))
    after = session.model.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert {".".join(name.split(".")[2:5]) for name in moved if ".tower." in name} == {
        "tower.encoder.layer",
        "tower.layers.1",
        "tower.layernorm.weight",
        "tower.layernorm.bias",
    }
    assert not any("layer.0." in name or "layers.0." in name for name in moved)


@pytest.mark.parametrize("changes", [{"early_stopping": {"patience": 1}}, {"keep": "best"}, {"pretrain_epochs": 1}])
def test_who_goes_back_to_earlier_parameters_needs_no_frozen_ones(changes, make_run_dir):
    training = {"epochs": 3, "batch_size": 8, "fine_tune": {"enabled": False}, **changes}
    raw = tuned_spec(trainable="last_n:1", blending={"strategy": "naive"}, training=training)
    spec = JobSpec.model_validate(raw)
    whole = make_run_dir(spec, "whole")
    assert drive(whole, never) == EXIT_DONE
    calls = iter([False] * 7 + [True] * 1000)
    first = make_run_dir(spec, "first")
    assert drive(first, lambda: next(calls)) == EXIT_STOPPED
    second = make_run_dir(spec, "second", resume_from=[first])
    assert drive(second, never) == EXIT_DONE
    assert outcome(second) == outcome(whole)


def test_a_checkpoint_leaves_out_what_is_frozen(open_tuned, make_run_dir, make_meter):
    spec = estimated({"type": "exact"}, trainable="last_n:1")
    run_dir = make_run_dir(spec, "1")
    session, journal = open_tuned(spec), Journal(run_dir)
    for event in run(session, make_meter(session), run_dir):
        commit(session, journal, event, run_dir)
    found, _ = checkpoint.load_newest([run_dir], session.identity)
    names = [name for name in found.tensors if ".tower." in name]
    assert names
    assert not any("encoder.layer.0." in name or "embeddings" in name for name in names)


def test_two_runs_of_one_seed_are_equal(make_run_dir):
    spec = estimated({"type": "exact"})
    first, second = make_run_dir(spec, "first"), make_run_dir(spec, "second")
    assert [drive(each, never) for each in (first, second)] == [EXIT_DONE, EXIT_DONE]
    assert outcome(first) == outcome(second)


@pytest.mark.parametrize("fusion", ["concat", "mid_concat"])
@pytest.mark.parametrize("missing", ["error", "mask"])
def test_an_exported_model_answers_to_the_bit_without_the_models_folder(
    fusion, missing, open_tuned, make_meter, tmp_path, roots
):
    names = ("words", "face", "voice")
    spec = JobSpec.model_validate(tuned_spec(names, missing=missing, model={"fusion": fusion}))
    session = open_tuned(spec)
    list(run(session, make_meter(session), tmp_path / "run"))
    shutil.move(tmp_path / "run" / "artifacts", tmp_path / "elsewhere")
    saved = load_saved(tmp_path / "elsewhere")
    assert sorted(path.name for path in (tmp_path / "elsewhere" / "encoders" / "words").iterdir()) == [
        "config.json",
        "tokenizer.json",
    ]
    batch = session.batches.in_order(np.arange(36))
    session.model.eval()
    with torch.no_grad():
        for each in batch:
            own = session.model(each.inputs)
            found = saved.module(each.inputs, [*session.heads, FINE_TUNED])
            assert all(torch.equal(found[head], own[head]) for head in session.heads)
    rows = session.data.batch(np.arange(36))
    table = [line.split(",") for line in (roots["data"] / "clips" / "rows.csv").read_text().splitlines()]
    at = {name: table[0].index(name) for name in ("words", "picture", "sound")}
    for row in (0, 7, 35):
        cells = table[row + 1]
        sample = {
            "words": cells[at["words"]],
            "face": roots["data"] / "clips" / cells[at["picture"]],
            "voice": (roots["data"] / "clips" / cells[at["sound"]]).read_bytes(),
        }
        inputs = saved.inputs(sample)
        assert all(np.array_equal(inputs[name].numpy()[0], rows[name][row]) for name in names)
    if missing == "mask":
        inputs = saved.inputs({"words": "good", "face": None})
        assert torch.isfinite(saved.module(inputs, ["fused"])["fused"]).all()
        assert saved.inputs({"words": " ", "face": sample["face"]})["words:present"].tolist() == [0.0]


@pytest.mark.parametrize("lacking", ["encoders", "model.json", "model.safetensors", "half of model.safetensors"])
def test_an_exported_model_that_is_not_all_there(lacking, open_tuned, make_meter, tmp_path):
    session = open_tuned(JobSpec.model_validate(tuned_spec(blending={"strategy": "naive"})))
    for _ in run(session, make_meter(session), tmp_path):
        pass
    path = tmp_path / "artifacts" / lacking.rpartition(" ")[2]
    if path.is_dir():
        shutil.rmtree(path)
    elif lacking == path.name:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ArtifactError, match=r"artifact\.unreadable"):
        load_saved(tmp_path / "artifacts")


def test_an_exported_model_of_one_modality(open_tuned, make_meter, tmp_path):
    spec = JobSpec.model_validate(tuned_spec(blending={"strategy": "unimodal", "modality": "words"}))
    session = open_tuned(spec)
    (completed,) = list(run(session, make_meter(session), tmp_path))[-1:]
    names = {artifact.name for artifact in completed.artifacts}
    assert {"encoders/words/tokenizer.json", "encoders/words/config.json"} < names
    assert not any(name.startswith("encoders/face") for name in names)
    saved = load_saved(tmp_path / "artifacts")
    said = saved.module(saved.inputs({"words": "good red cat"}), ["words"])["words"]
    assert said.shape == (1, 3)


def test_the_export_holds_all_weights_and_the_config(open_tuned, make_meter, tmp_path):
    spec = JobSpec.model_validate(tuned_spec(trainable="last_n:1"))
    session = open_tuned(spec)
    list(run(session, make_meter(session), tmp_path))
    tensors = safetensors.torch.load_file(tmp_path / "artifacts" / "model.safetensors")
    assert "encoder_words.stem.tower.embeddings.word_embeddings.weight" in tensors
    card = json.loads((tmp_path / "artifacts" / "model.json").read_text())
    assert card["preprocessing"]["words"]["config"]["model_type"] == "bert"
    assert str(Path(tmp_path)) not in json.dumps(card)
