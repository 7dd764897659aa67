"""A process that computes features of `<folder>/t.csv`, saving after every batch, and stops for ever before a batch.

    python -m tests.integration.data.feature_child FOLDER STOP_BEFORE

Prints `computed <n>` after each batch, `stopped` where it stops, `done` at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from core.data.dataset import prepare
from core.data.feature_cache import FeatureCache
from core.data.features import Featuriser, LoadModel
from core.models.pretrained import load_frozen
from core.spec import JobSpec
from tests.unit.data.builders import job, table_spec


def main(folder: Path, stop_before: int) -> None:
    load = load_frozen(torch.device("cpu"))

    def stopping(*asked: Any) -> Any:
        model = load(*asked)
        calls = 0

        class Model:
            def features(self, samples: Sequence[Any]) -> Any:
                nonlocal calls
                calls += 1
                if calls == stop_before:
                    print("stopped", flush=True)
                    sys.stdin.read()
                print("computed", len(samples), flush=True)
                return model.features(samples)

        return Model()

    prepare(spec(), {"data": folder, "models": folder}, featuriser=featuriser(folder, stopping))
    print("done", flush=True)


def featuriser(folder: Path, load: LoadModel) -> Featuriser:
    return Featuriser(load, FeatureCache(folder / "features", 2**30), save_seconds=0.0)


def spec() -> JobSpec:
    encoder = {"type": "transformers", "path": "models://bert", "features": 8}
    modality = {"name": "words", "type": "text", "column": "words", "encoder": encoder}
    return job(table_spec(modalities=[modality, table_spec()["modalities"][0]]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
