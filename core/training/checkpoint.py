"""Checkpoints: one folder each, safetensors + JSON, there whole or not at all.

    checkpoints/00000012/tensors.safetensors    parameters, optimizer states, random streams, losses of an open estimate
    checkpoints/00000012/state.json             counters, digest of the tensors, journal position, staged events
    checkpoints/00000012.00000345/...           the same, 345 steps into the pass that follows

A name is a place in the run: the number of the last event that is known there, and within a pass the steps of it that
are done. So names sort as the run goes on, whichever attempt wrote them. Sampler state is the counters: orders are
derived from seeds.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from core.errors import CheckpointError
from core.training.files import sha256_of, sync_folder, write_durable
from core.training.journal import Journal, first_lines

FORMAT = 2
_READABLE = (1, FORMAT)
"""Format 1 knew no pass under way; otherwise it is the same."""
FOLDER = "checkpoints"
_NAME = re.compile(r"[0-9]{8,}(?:\.[0-9]{8,})?")
KEPT = 2
"""How many checkpoints stay: the newest, and one to fall back to."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was read and found whole."""

    number: int
    """Of the last event that it knows."""
    identity: dict[str, str]
    counters: dict[str, Any]
    tensors: dict[str, Tensor]
    journal: list[bytes]
    """Every line of the journal up to and including event `number`."""

    @property
    def place(self) -> int:
        """Where in the run it was taken, as one number that grows with it."""
        return (self.number << 32) + int(self.counters.get("under_way", {}).get("done", 0))


def save(
    run_dir: Path, journal: Journal, *, identity: dict[str, str], counters: dict[str, Any], tensors: dict[str, Tensor]
) -> Path:
    """Writes a checkpoint and removes all but the newest two. `identity` is compared before anything is resumed."""
    folder = run_dir / FOLDER
    done = counters["under_way"]["done"]
    final = folder / (f"{journal.number:08d}.{done:08d}" if done else f"{journal.number:08d}")
    temporary = folder / f".{final.name}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    content = safetensors.torch.save({name: value.contiguous().cpu() for name, value in tensors.items()})
    write_durable(temporary / "tensors.safetensors", content)
    state = {
        "format": FORMAT,
        "number": journal.number,
        "identity": identity,
        "counters": counters,
        "sha256": sha256_of(temporary / "tensors.safetensors"),
        "published": journal.published,
        "staged": [line.decode() for line in journal.staged],
    }
    write_durable(temporary / "state.json", json.dumps(state, allow_nan=False).encode())
    sync_folder(temporary)
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    sync_folder(folder)
    for old in _folders(run_dir)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load_newest(run_dirs: Sequence[Path], identity: dict[str, str]) -> tuple[Checkpoint | None, list[CheckpointError]]:
    """The newest whole checkpoint of these run directories, and why newer ones were passed over."""
    found = sorted((path for run_dir in run_dirs for path in _folders(run_dir)), key=lambda p: p.name, reverse=True)
    refused: list[CheckpointError] = []
    for path in found:
        try:
            return load(path, identity), refused
        except CheckpointError as error:
            refused.append(error)
    return None, refused


def load(path: Path, identity: dict[str, str]) -> Checkpoint:
    """Reads one checkpoint; `CheckpointError` where it is damaged, or of another spec, data set or format."""
    try:
        state = json.loads((path / "state.json").read_bytes())
        digest = sha256_of(path / "tensors.safetensors")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"checkpoint {path.name} cannot be read: {error}") from error
    if state.get("format") not in _READABLE or digest != state.get("sha256"):
        raise CheckpointError(f"checkpoint {path.name} is damaged or of another format", code="checkpoint.damaged")
    if state["identity"] != identity:
        raise CheckpointError(f"checkpoint {path.name} is of another run", code="checkpoint.foreign")
    try:
        tensors = safetensors.torch.load_file(path / "tensors.safetensors")
    except SafetensorError as error:
        raise CheckpointError(f"checkpoint {path.name} cannot be read: {error}") from error
    journal = first_lines(path.parent.parent, state["published"])
    return Checkpoint(
        state["number"], identity, state["counters"], tensors, journal + [line.encode() for line in state["staged"]]
    )


def pack(found: Checkpoint) -> bytes:
    """A checkpoint as bytes for another machine, without its journal, which the first process alone goes on with."""
    state = json.dumps({"number": found.number, "counters": found.counters}, allow_nan=False)
    return safetensors.torch.save(found.tensors, metadata={"state": state})


def unpack(content: bytes, identity: dict[str, str]) -> Checkpoint:
    """The inverse of `pack`."""
    length = int.from_bytes(content[:8], "little")
    state = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["state"])
    return Checkpoint(state["number"], identity, state["counters"], safetensors.torch.load(content), [])


def _folders(run_dir: Path) -> list[Path]:
    """Finished checkpoint folders, newest first."""
    folder = run_dir / FOLDER
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), key=lambda p: p.name, reverse=True)
