"""What a training process is asked to do."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.data.feature_cache import MOST_BYTES
from core.data.hub_access import HubAccess
from core.data.loading import FILE_SECONDS, MEMORY_BYTES, STORE_SECONDS, Loading
from core.processes import cores
from core.spec import JobSpec
from core.training.nodes import Nodes

_CHECKPOINT_SECONDS = 60.0
"""Where the file does not say it, as in the settings (`core.settings.EngineSettings`)."""

_MOST_PROCESSES = 32
"""Of those that decode, where the file does not say how many: each takes some 50 MB for itself."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """`spec.json`: what a supervisor hands to the training process."""

    job_id: str
    spec: JobSpec
    roots: dict[str, Path]
    resume_from: tuple[Path, ...]
    checkpoint_seconds: float
    """How much work, in seconds, may lie between two checkpoints; 0: one after every step. Changes no result."""
    dataset_fingerprint: str | None = None
    """Of the data that an earlier attempt has told events of; `None`: none has."""
    head: str | None = None
    """The head whose estimate is all that it should make; `None`: the whole run."""
    nodes: Nodes | None = None
    """The machines that train it together; `None`: this one alone."""
    features: Path | None = None
    """Where features of frozen encoders are kept; `None`: in the run's own folder."""
    features_bytes: int = MOST_BYTES
    """How much of them."""
    hub: HubAccess | None = None
    """Which models of a hub it may fetch; `None`: none."""
    loading: Loading = field(default_factory=Loading)
    """How data are loaded; changes no result."""
    estimates: tuple[Path, ...] = ()
    """The estimates of all heads, where other processes have made them (`core.training.spread`)."""

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> RunRequest:
        """Parses the file's content."""
        return cls(
            job_id=raw["job_id"],
            spec=JobSpec.model_validate(raw["spec"]),
            roots={name: Path(path) for name, path in raw["roots"].items()},
            resume_from=tuple(Path(path) for path in raw.get("resume_from", ())),
            checkpoint_seconds=float(raw.get("checkpoint_seconds", _CHECKPOINT_SECONDS)),
            dataset_fingerprint=raw.get("dataset_fingerprint"),
            head=raw.get("head"),
            nodes=Nodes.from_json(raw["nodes"]) if raw.get("nodes") else None,
            features=Path(raw["features"]) if raw.get("features") else None,
            features_bytes=int(raw.get("features_bytes", MOST_BYTES)),
            hub=HubAccess.from_json(raw["hub"]) if raw.get("hub") else None,
            loading=_loading(raw.get("loading", {})),
            estimates=tuple(Path(path) for path in raw.get("estimates", ())),
        )


def _loading(raw: dict[str, Any]) -> Loading:
    processes = raw.get("decode_processes")
    if processes is None:
        # As many trainings as torchrun has started here, each of which decodes for itself.
        processes = min(max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))), _MOST_PROCESSES)
    return Loading(
        processes=processes,
        file_seconds=float(raw.get("file_seconds", FILE_SECONDS)),
        memory_bytes=int(raw.get("memory_bytes", MEMORY_BYTES)),
        store_seconds=float(raw.get("store_seconds", STORE_SECONDS)),
    )
