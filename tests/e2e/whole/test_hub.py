"""A job over HTTP with a model of a hub: not allowed, allowed while the hub is away, and when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_models
from tests.e2e.whole.service import WholeService
from tests.hub_server import COMMIT, HubServer

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    folder = tmp_path / "served" / "acme" / "bert"
    folder.mkdir(parents=True)
    tiny_models.bert(folder)
    server = HubServer(tmp_path / "served")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def service(tmp_path: Path, hub: HubServer) -> Iterator[WholeService]:
    settings = {"GBLEND_FEATURES__ALLOW_HUB": "acme/*", "GBLEND_FEATURES__HUB_ENDPOINT": hub.endpoint}
    whole = WholeService(tmp_path, environment=settings)
    yield whole
    whole.close()


def spec_of(model: str) -> dict[str, Any]:
    encoder = {"type": "transformers", "hub": model, "revision": COMMIT, "features": 8}
    return {
        "dataset": {
            "source": {"type": "manifest", "uri": "data://t.csv"},
            "target": {"column": "label"},
            "modalities": [
                {"name": "words", "type": "text", "column": "words", "encoder": encoder},
                {"name": "numbers", "type": "tabular", "columns": [{"name": "x", "type": "number"}]},
            ],
        },
        "blending": {"strategy": "naive"},
        "training": {"epochs": 2, "batch_size": 16},
    }


def test_a_job_with_a_model_of_a_hub(service: WholeService, hub: HubServer, tmp_path: Path) -> None:
    rows = [f"{('good', 'bad')[i % 2]} w{i % 24},{i % 7},{'ab'[i % 2]}" for i in range(120)]
    (tmp_path / "t.csv").write_text("\n".join(["words,x,label", *rows]) + "\n")
    service.start_api("up")
    refused = service.client.post("/v1/jobs", json=spec_of("google/bert"))
    assert refused.status_code == 422
    (error,) = (each for each in refused.json()["errors"] if each["severity"] == "error")
    assert (error["code"], error["pointer"]) == ("encoder.hub_forbidden", "#/dataset/modalities/0/encoder/hub")

    hub.faults.status = {"api": [503] * 4}
    first = service.submit(spec_of("acme/bert"))
    (ended,) = service.wait_until_ended(first)
    assert (ended["status"], ended["attempt"]) == ("succeeded", 2), ended
    assert "encoder.unreachable" in [each["reason"] for each in ended["transitions"]]
    assert hub.asked["GET model.safetensors"] == 1
    kept = tmp_path / "state" / "features" / "hub" / f"acme--bert.{COMMIT}"
    assert sorted(path.name for path in kept.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]

    hub.stop()  # what is there needs no hub
    (ended,) = service.wait_until_ended(service.submit({**spec_of("acme/bert"), "seed": 1}))
    assert (ended["status"], ended["attempt"]) == ("succeeded", 1), ended
