"""A set of texts, pictures and sounds, and specs whose pretrained models are trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests import tiny_models
from tests.unit.data.builders import clips, write_csv

_TEXTS = ("good red cat", "bad dog", "w1 w2 w3 w4 w5")
"""One per class, of different lengths."""
_MODALITIES: dict[str, dict[str, Any]] = {
    "words": {"name": "words", "type": "text", "column": "words"},
    "face": {"name": "face", "type": "image", "column": "picture"},
    "voice": {"name": "voice", "type": "audio", "column": "sound"},
}
_MODELS = {"words": "bert", "face": "vit", "voice": "wav2vec"}


def write_tuned(folder: Path, rows: int = 36) -> dict[str, Path]:
    """The rows as `clips/rows.csv`, and the models; the roots."""
    found = clips(folder / "clips", n=rows)
    texts = [{**row, "words": f"{_TEXTS[k % 3]} w{k % 7}"} for k, row in enumerate(found)]
    write_csv(folder / "clips" / "rows.csv", texts)
    for make in (tiny_models.bert, tiny_models.vit, tiny_models.wav2vec):
        (folder / make.__name__).mkdir()
        make(folder / make.__name__)
    return {"data": folder, "models": folder}


def encoder(model: str, trainable: str = "all", **changes: Any) -> dict[str, Any]:
    """The spec of an encoder."""
    return {"type": "transformers", "path": f"models://{model}", "trainable": trainable, "features": 8, **changes}


def tuned_spec(
    names: Sequence[str] = ("words", "face"), *, trainable: str = "all", missing: str = "error", **changes: Any
) -> dict[str, Any]:
    """A job over `rows.csv`, whose every modality has a model that is trained."""
    return {
        "dataset": {
            "source": {"type": "manifest", "uri": "data://clips/rows.csv"},
            "sample_id": "id",
            "target": {"column": "label"},
            "modalities": [
                {**_MODALITIES[name], "missing": missing, "encoder": encoder(_MODELS[name], trainable)}
                for name in names
            ],
        },
        "blending": {"strategy": "online", "super_epochs": {"first": 1, "later": 1}},
        "training": {"epochs": 2, "batch_size": 8, "fine_tune": {"epochs": 1}},
        **changes,
    }
