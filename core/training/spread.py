"""Estimates spread over processes (`scheduling.spread_estimates`): one head's, as a file, and the files joined.

Each head's copy is trained by a process of its own (`core.training.run.estimate_head`), which leaves its losses in
`estimate.safetensors`; the run reads one file per head instead of training the copies. Heads share nothing, so what is
joined is bit for bit what one pass for all of them gives (CPU).

    train_before [T]  train_after [T]  holdout_before [V]  holdout_after [V]     losses of the head, float64
    train [T]  holdout [V]                                                      their rows of the data set, int64

The file's metadata say which head, of which spec and data set, and what it cost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from core.blend import HeadLosses
from core.errors import CheckpointError, DataError
from core.events import Cost, EstimateCompleted
from core.training.estimators import Found, Spent
from core.training.files import sha256_of, sync_folder, write_durable

NAME = "estimate.safetensors"
_LOSSES = ("train_before", "train_after", "holdout_before", "holdout_after")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFile:
    """One head's estimate, as it was read."""

    head: str
    identity: Mapping[str, str]
    """Of the run: what it must agree in with the run that uses it."""
    losses: HeadLosses
    train: NDArray[np.int64]
    holdout: NDArray[np.int64]
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The estimate of all heads, from their files."""

    found: Found
    seconds: float
    """Of all heads together, in whatever processes they were spent."""
    spent: Spent


def write(run_dir: Path, head: str, found: Found, *, identity: Mapping[str, str], cost: Cost) -> EstimateCompleted:
    """Leaves the losses of `head` (super-epoch 0) in the run directory, synced; returns the event that tells of it."""
    losses = found.losses[head]
    tensors: dict[str, NDArray[Any]] = {name: np.ascontiguousarray(getattr(losses, name)) for name in _LOSSES}
    tensors |= {"train": np.ascontiguousarray(found.train), "holdout": np.ascontiguousarray(found.holdout)}
    metadata = {"head": head, "identity": json.dumps(dict(identity), sort_keys=True), "cost": cost.model_dump_json()}
    path = run_dir / NAME
    write_durable(path, safetensors.numpy.save(tensors, metadata))
    sync_folder(run_dir)
    return EstimateCompleted(
        super_epoch=0, head=head, cost=cost, path=NAME, bytes=path.stat().st_size, sha256=sha256_of(path)
    )


def read(path: Path) -> HeadFile:
    """The inverse of `write`; `CheckpointError` (`estimate.damaged`) for a file that is none."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return HeadFile(
            head=metadata["head"],
            identity=json.loads(metadata["identity"]),
            losses=HeadLosses(**{name: tensors[name] for name in _LOSSES}),
            train=tensors["train"],
            holdout=tensors["holdout"],
            cost=Cost.model_validate_json(metadata["cost"]),
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the estimate {path.name} cannot be read: {error}", code="estimate.damaged") from error


def join(files: Sequence[HeadFile], heads: Sequence[str], identity: Mapping[str, str]) -> Joined:
    """One estimate of all `heads`, in their order.

    Raises `CheckpointError` (`estimate.damaged`) where a head is missing or there twice, and `DataError`
    (`estimate.foreign`) where one was made of another spec or data set: the data have changed meanwhile.
    """
    by_head = {file.head: file for file in files}
    if len(files) != len(heads) or set(by_head) != set(heads):
        raise CheckpointError(
            f"there are estimates of {sorted(file.head for file in files)}; needed are {sorted(heads)}",
            code="estimate.damaged",
        )
    first = by_head[heads[0]]
    for file in files:
        same_rows = np.array_equal(file.train, first.train) and np.array_equal(file.holdout, first.holdout)
        if dict(file.identity) != dict(identity) or not same_rows:
            raise DataError(
                f"the head {file.head!r} was estimated on other data than the run finds",
                code="estimate.foreign",
                hint="do not change the data while a job runs; retry it, which estimates all heads anew",
            )
    return Joined(
        found=Found(losses={head: by_head[head].losses for head in heads}, train=first.train, holdout=first.holdout),
        seconds=sum(file.cost.seconds for file in files),
        spent=sum((Spent(file.cost.samples, file.cost.measured) for file in files), Spent()),
    )
