"""A job over HTTP whose rows lack modalities: refused without a mask, trained with it, and answered from its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from core.data.dataset import ModalityInfo
from core.data.modalities import decode_sample
from core.models.classifier import build_model
from core.spec import JobSpec
from tests.e2e.whole.service import WholeService
from tests.unit.data.builders import RATE, clips, write_csv

pytestmark = pytest.mark.timeout(500)

SILENT, UNSEEN = range(0, 60, 7), range(3, 60, 10)
"""Rows without a sound, rows without a picture; no row is in both."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[WholeService]:
    whole = WholeService(tmp_path, environment={})
    yield whole
    whole.close()


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    """Sixty clips of three classes."""
    assert not set(SILENT) & set(UNSEEN)
    found = clips(tmp_path / "clips", n=60)
    for row in SILENT:
        found[row]["sound"] = ""
        (tmp_path / "clips" / f"{row}.wav").unlink()
    for row in UNSEEN:
        found[row]["picture"] = ""
    write_csv(tmp_path / "clips" / "manifest.csv", found)
    return found


def spec_of(missing: str) -> dict[str, Any]:
    encoder = {"features": 8}
    return {
        "dataset": {
            "source": {"type": "manifest", "uri": "data://clips/manifest.csv"},
            "sample_id": "id",
            "target": {"column": "label"},
            "modalities": [
                {
                    "name": "voice",
                    "type": "audio",
                    "column": "sound",
                    "missing": missing,
                    "preprocess": {"sample_rate": RATE, "mels": 16},
                    "encoder": encoder,
                },
                {"name": "face", "type": "image", "column": "picture", "missing": missing, "encoder": encoder},
            ],
        },
        "blending": {"strategy": "online", "super_epochs": {"first": 2, "later": 2}},
        "training": {"epochs": 6, "batch_size": 8, "optimizer": {"type": "adam", "lr": 0.01}},
        "answer": "fused",
    }


def test_a_job_whose_rows_lack_modalities(service: WholeService, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    service.start_api("up")
    refused = service.client.post("/v1/jobs", json=spec_of("error"))
    assert refused.status_code == 422
    told = {error["pointer"]: error for error in refused.json()["errors"]}
    assert set(told) == {"#/dataset/modalities/0/column", "#/dataset/modalities/1/column"}
    assert {(error["code"], error["count"]) for error in told.values()} == {("value.missing", 9), ("value.missing", 6)}
    assert all('"missing": "mask"' in error["hint"] for error in told.values())

    job_id = service.submit(spec_of("mask"))
    (ended,) = service.wait_until_ended(job_id)
    assert ended["status"] == "succeeded", ended
    assert ended["warnings"] == []
    for epoch in service.every(f"/v1/jobs/{job_id}/super-epochs"):
        assert {head["head"]: head["weight"] > 0.0 for head in epoch["heads"]} == {
            "face": True,
            "voice": True,
            "fused": True,
        }

    files = {}
    for name in ("model.json", "model.safetensors"):
        response = service.client.get(f"/v1/jobs/{job_id}/artifacts/{name}")
        assert response.status_code == 200
        files[name] = response.content
    card = json.loads(files["model.json"])
    model = model_of(card, safetensors.torch.load(files["model.safetensors"]))
    folder = tmp_path / "clips"
    clip = {"voice": folder / "1.wav", "face": (folder / "1.png").read_bytes()}
    said = {
        what: answer_of(card, model, {name: clip[name] for name in names})
        for what, names in {"both": ("voice", "face"), "voice": ("voice",), "face": ("face",)}.items()
    }
    for what, probabilities in said.items():
        assert torch.isfinite(probabilities).all(), what
        assert probabilities.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert card["classes"][int(said["both"].argmax())] == rows[1]["label"]
    assert len({tuple(probabilities.tolist()) for probabilities in said.values()}) == 3


def model_of(card: dict[str, Any], parameters: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The model of the files, without the fine-tuned head."""
    modalities = {
        name: ModalityInfo(
            name=name, kind=info["kind"], shape=tuple(info["shape"]), categories=tuple(info["categories"])
        )
        for name, info in card["modalities"].items()
    }
    model = build_model(JobSpec.model_validate(card["spec"]), modalities, len(card["classes"]))
    model.load_state_dict({name: value for name, value in parameters.items() if "fine_tuned" not in name})
    return model.eval()


def answer_of(card: dict[str, Any], model: torch.nn.Module, sample: dict[str, Any]) -> torch.Tensor:
    """The fused head's probabilities [K] for a new sample."""
    decoded = decode_sample(card["preprocessing"], sample)
    with torch.no_grad():
        outputs = model({name: torch.from_numpy(array) for name, array in decoded.items()}, ["fused"])
    return torch.softmax(outputs["fused"][0], dim=0)
