"""What a run leaves behind: the model (safetensors + JSON), its metrics, its history of weights.

artifacts/model.safetensors    every encoder and head, `head_fused_fine_tuned` among them
artifacts/model.json           how to build the model, prepare inputs and answer: no code, nothing pickled
artifacts/metrics.json         test and selection measurements, cost
artifacts/super_epochs.json    weights, G, O, OGR with errors, per super-epoch and head
artifacts/encoders/<modality>/ of a pretrained model that was trained: config and tokenizer or processor; its weights
                               are in model.safetensors, and `models://` is not needed again

`core.training.saved` takes the road back.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch

from core.events import ArtifactWritten, Contribution, Forgotten, Measurement
from core.events.types import ArtifactKind
from core.spec.base import FINE_TUNED
from core.training.answer import Answer
from core.training.environment import environment
from core.training.files import sha256_of, sync_folder, write_durable
from core.training.objective import class_weights
from core.training.session import Session

FOLDER = "artifacts"
ENCODERS = "encoders"
MODEL_FORMAT = 1


def write_artifacts(
    session: Session,
    run_dir: Path,
    *,
    answer: Answer,
    test: tuple[Measurement, ...],
    selection: tuple[Measurement, ...],
    contributed: tuple[Contribution, ...],
    lost: tuple[Forgotten, ...],
    flags: tuple[str, ...],
) -> tuple[ArtifactWritten, ...]:
    """Writes the files and says what they are. Seconds stay out of them: equal runs leave equal bytes."""
    folder = run_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    parameters = {name: value.detach().cpu().contiguous() for name, value in session.model.state_dict().items()}
    if session.fine_tune is not None:
        for name, value in session.fine_tune.head.state_dict().items():
            parameters[f"head_{FINE_TUNED}.{name}"] = value.detach().cpu().contiguous()
    history = [{key: value for key, value in entry.items() if key != "cost"} for entry in session.counters.history]
    metrics = {
        "answer": asdict(answer),
        "contributions": [found.model_dump(mode="json") for found in contributed],
        "forgotten": [found.model_dump(mode="json") for found in lost],
        "flags": list(flags),
        "test": [measured.model_dump(mode="json") for measured in test],
        "selection": [measured.model_dump(mode="json") for measured in selection],
        "samples": {phase: spent["samples"] for phase, spent in session.counters.cost.items()},
    }
    files: dict[str, tuple[bytes, ArtifactKind]] = {
        "model.safetensors": (safetensors.torch.save(parameters), "model"),
        "model.json": (_json(_card(session, answer)), "card"),
        "metrics.json": (_json(metrics), "metrics"),
        "super_epochs.json": (_json(history), "history"),
    }
    for modality, tuned in session.data.tuned.items():
        if modality in session.model.modalities:
            files |= {f"{ENCODERS}/{modality}/{name}": (content, "card") for name, content in tuned.beside.items()}
    written = []
    for name, (content, kind) in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_durable(folder / name, content)
        written.append(
            ArtifactWritten(
                name=name,
                path=f"{FOLDER}/{name}",
                kind=kind,
                bytes=len(content),
                sha256=sha256_of(folder / name),
            )
        )
    for inner in sorted({(folder / name).parent for name in files}):
        sync_folder(inner)
    return tuple(written)


def _card(session: Session, answer: Answer) -> dict[str, Any]:
    data = session.data
    return {
        "format": MODEL_FORMAT,
        "spec": session.spec.resolved(),
        "spec_fingerprint": session.spec.fingerprint(),
        "dataset_fingerprint": data.fingerprint,
        "task": data.task,
        "metric": session.objective.metrics.primary,
        "classes": list(data.classes),
        "target_scale": None if data.target_scale is None else asdict(data.target_scale),
        "class_weights": class_weights(data, session.spec.training.loss),
        "modalities": {
            name: {"kind": info.kind, "shape": list(info.shape), "categories": list(info.categories)}
            for name, info in data.modalities.items()
        },
        "preprocessing": data.preprocessing,
        "heads": list(session.heads),
        "weights": session.counters.weights,
        "answer": answer.head,
        "pool": answer.pool,
        "environment": environment(session.device, session.ranks.size),
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"
