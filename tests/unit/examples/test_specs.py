"""The specs that the examples submit are valid, and say what their comments say."""

from __future__ import annotations

from pathlib import Path

import pytest
from gblend_client.specfile import load

from core.data.dataset import prepare
from core.data.validation import check
from core.spec import ColumnSplit, JobSpec, OnlineBlending
from examples._runs import all_strategies, variant

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.mark.parametrize(
    ("name", "columns", "split"),
    [
        ("digits", {"audio": "audio", "image": "image"}, "split"),
        ("avdigits", {"audio": "audio", "image": "image_degraded"}, "split_speaker"),
    ],
)
def test_a_spec_is_valid_with_every_strategy(name: str, columns: dict[str, str], split: str) -> None:
    raw = load(EXAMPLES / f"{name}.yaml")
    spec = JobSpec.model_validate(raw)
    assert {modality.name: getattr(modality, "column", None) for modality in spec.dataset.modalities} == columns
    assert isinstance(spec.dataset.split, ColumnSplit)
    assert spec.dataset.split.column == split
    assert spec.dataset.split.group_by == ("speaker",)
    assert spec.holdout.group_by == ("speaker",)
    assert isinstance(spec.blending, OnlineBlending)
    assert (spec.blending.super_epochs.first, spec.blending.super_epochs.later) == (5, 5)
    assert (spec.training.epochs, spec.training.batch_size, spec.training.optimizer.lr) == (20, 64, 0.001)

    strategies = all_strategies(raw)
    assert strategies == ["unimodal:audio", "unimodal:image", "naive", "equal", "offline", "online"]
    found = [JobSpec.model_validate(variant(raw, strategy, 3)) for strategy in strategies]
    assert [job.blending.strategy for job in found] == ["unimodal", "unimodal", "naive", "equal", "offline", "online"]
    assert {job.seed for job in found} == {3}


def test_the_demo_data_raise_no_objection_and_v_is_one_voice() -> None:
    spec = JobSpec.model_validate(load(EXAMPLES / "digits.yaml"))
    roots = {"data": EXAMPLES}
    assert check(spec.dataset, spec.holdout, roots) == []
    data = prepare(spec, roots)
    assert data.warnings == ()
    assert data.classes == tuple("0123456789")
    assert data.modalities["image"].shape == (1, 8, 8)
    assert data.modalities["audio"].shape[:2] == (1, 32)
    assert {part: len(rows) for part, rows in data.split.as_dict().items()} == {
        "train": 840,
        "holdout": 280,
        "validation": 0,
        "test": 560,
    }
    assert len(data.holdout_groups) == 1
