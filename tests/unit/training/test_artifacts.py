"""The files of a run, read by another program: the model is built again, and answers as it did."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from core.data.dataset import ModalityInfo, TargetScale, prepare
from core.models.classifier import build_model
from core.spec import JobSpec
from core.training.objective import Binary, Multiclass, Multilabel, Regression
from core.training.run import run
from core.training.session import Session
from tests.tiny import tiny_task_spec, write_tiny_tasks
from tests.unit.training.conftest import CPU


@pytest.fixture(scope="module")
def task_roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    write_tiny_tasks(folder)
    return {"data": folder}


def answers(folder, inputs):
    """Outputs [N, K] of what the model answers with, from the files alone; inputs are decoded already."""
    card = json.loads((folder / "model.json").read_bytes())
    parameters = safetensors.torch.load((folder / "model.safetensors").read_bytes())
    spec = JobSpec.model_validate(card["spec"])
    modalities = {
        name: ModalityInfo(
            name=name, kind=info["kind"], shape=tuple(info["shape"]), categories=tuple(info["categories"])
        )
        for name, info in card["modalities"].items()
    }
    whole = build_model(spec, modalities, len(card["classes"]) or 1)
    model = whole.copy_of(card["heads"])
    tuned = {name: parameters.pop(name) for name in list(parameters) if name.startswith("head_fused_fine_tuned.")}
    model.load_state_dict(parameters)
    model.eval()
    with torch.no_grad():
        features = model.features(inputs, model.modalities)
        outputs = model.classify(features, model.heads)
        if tuned:
            head = whole.head("fused")
            head.load_state_dict({name.removeprefix("head_fused_fine_tuned."): value for name, value in tuned.items()})
            head.eval()
            outputs["fused_fine_tuned"] = head(torch.cat(list(features.values()), dim=1))
    objective = objective_of(card)
    if card["answer"] == "heads_pool":
        weights = {name: torch.tensor(weight, dtype=torch.float64) for name, weight in card["pool"].items()}
        return card, objective, objective.pool(outputs, weights)
    if card["answer"] == "heads_average":
        return card, objective, objective.average(outputs, card["weights"])
    return card, objective, outputs[card["answer"]]


def objective_of(card):
    if card["task"] == "regression":
        return Regression(TargetScale(**card["target_scale"]))
    return {"multiclass": Multiclass, "binary": Binary, "multilabel": Multilabel}[card["task"]]()


@pytest.mark.parametrize(
    ("task", "blending", "answer", "fusion"),
    [
        ("multiclass", {"strategy": "equal"}, "heads_pool", "concat"),
        ("multiclass", {"strategy": "equal"}, "fused_fine_tuned", "mid_concat"),
        ("multiclass", {"strategy": "equal"}, "heads_pool", "nl_gate"),
        ("binary", {"strategy": "fixed", "weights": {"clean": 3.0, "fused": 1.0}}, "heads_average", "se_gate"),
        ("multilabel", {"strategy": "ensemble"}, "heads_pool", "concat"),
        ("regression", {"strategy": "equal"}, "heads_pool", "mid_concat"),
        ("regression", {"strategy": "unimodal", "modality": "clean"}, "auto", "concat"),
    ],
)
def test_a_model_can_be_built_again_from_its_files(task_roots, make_meter, tmp_path, task, blending, answer, fusion):
    spec = JobSpec.model_validate(
        tiny_task_spec(task, blending, epochs=2, answer=answer, model={"fusion": fusion, "hidden": 4})
    )
    data = prepare(spec, task_roots)
    session = Session(spec, data, CPU)
    done = list(run(session, make_meter(session), tmp_path))[-1]
    test = data.split.test
    inputs = {name: torch.from_numpy(array) for name, array in data.batch(test).items()}
    card, objective, outputs = answers(tmp_path / "artifacts", inputs)
    assert card["answer"] == done.answer == ("clean" if answer == "auto" else answer)
    evidence = objective.evidence(outputs, torch.from_numpy(data.targets[test])).numpy()
    score = objective.metrics.score(evidence, np.ones((1, len(test))))[0]
    assert score == pytest.approx(done.test_score, abs=1e-9)
    losses = objective.losses(outputs, torch.from_numpy(data.targets[test]))
    assert losses.mean().item() == pytest.approx(done.test_loss, rel=1e-6)
