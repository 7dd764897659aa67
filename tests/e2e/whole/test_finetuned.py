"""A job over HTTP that trains pretrained models: refused, trained, downloaded, and answered from its files alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from core.training.saved import load_saved
from tests.e2e.whole.service import WholeService
from tests.tuned import tuned_spec, write_tuned

pytestmark = pytest.mark.timeout(500)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[WholeService]:
    whole = WholeService(tmp_path, environment={"GBLEND_ROOTS__MODELS": str(tmp_path)})
    yield whole
    whole.close()


def test_a_job_that_trains_pretrained_models(service: WholeService, tmp_path: Path) -> None:
    write_tuned(tmp_path, rows=72)
    training = {"epochs": 8, "batch_size": 8, "optimizer": {"type": "adam", "lr": 0.01}}
    spec = tuned_spec(
        ("words", "face", "voice"), trainable="last_n:1", training=training, blending={"strategy": "equal"}
    )
    spec["dataset"]["modalities"][1]["augment"] = {"flip": True, "brightness": 0.2}
    service.start_api("up")
    wrong = tuned_spec(trainable="last_n:none")
    refused = service.client.post("/v1/jobs", json=wrong)
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == [
        f"#/dataset/modalities/{k}/encoder/trainable" for k in (0, 1)
    ]

    job_id = service.submit(spec)
    (ended,) = service.wait_until_ended(job_id)
    assert ended["status"] == "succeeded", ended
    folder = tmp_path / "downloaded"
    names = [artifact["name"] for artifact in service.every(f"/v1/jobs/{job_id}/artifacts")]
    assert {name for name in names if name.startswith("encoders/")} == {
        "encoders/face/config.json",
        "encoders/face/preprocessor_config.json",
        "encoders/voice/config.json",
        "encoders/voice/preprocessor_config.json",
        "encoders/words/config.json",
        "encoders/words/tokenizer.json",
    }
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(service.client.get(f"/v1/jobs/{job_id}/artifacts/{name}").content)
    sample = {
        "words": "bad dog w3",
        "face": (tmp_path / "clips" / "1.png").read_bytes(),
        "voice": tmp_path / "clips" / "1.wav",
    }
    for model in ("bert", "vit", "wav2vec"):
        shutil.rmtree(tmp_path / model)
    saved = load_saved(folder)
    said = saved.module(saved.inputs(sample), ["words", "fused"])
    assert saved.card["classes"][int(torch.argmax(said["words"]))] == "b"
    assert torch.isfinite(said["fused"]).all()
