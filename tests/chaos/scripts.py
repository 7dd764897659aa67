"""What each unit of a run is to do and how it must end: journals that are known in advance."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.events import JournalEntry, RunFailed, encode
from tests.integration.engine.samples import run

EPOCHS = range(1, 7)
POISON_ATTEMPTS = 3
NOT_FINITE = "training.loss_not_finite"

CHILD_POINTS = (
    "start",
    "checkpoint.before",
    "checkpoint.torn",
    "checkpoint.written",
    "checkpoint.renamed",
    "checkpoint.corrupted",
    "publish.before",
    "publish.torn",
    "publish.after",
    "artifact.torn",
    "finish",
)
"""Where a training process can be killed by its own hand, in the order in which it passes them."""

_MIX: Mapping[str, int] = {
    "plain": 76,
    "dies": 12,
    "hangs": 1,
    "out_of_memory": 1,
    "disk_full": 1,
    "not_finite": 2,
    "poison": 1,
    "cancelled": 3,
    "paused": 3,
}
"""Of a hundred units."""


@dataclass(frozen=True, slots=True)
class Script:
    """One unit: what its training process does, what its owner does, and how its job may end."""

    kind: str
    epochs: int
    pause: float
    """Seconds between two entries."""
    die_at: str = ""
    """One of `CHILD_POINTS`, in the first attempt."""

    @property
    def metadata(self) -> dict[str, str]:
        """What the child reads."""
        said = {"chaos": self.kind, "epochs": str(self.epochs), "pause": f"{self.pause:.3f}"}
        return {**said, "die_at": self.die_at} if self.die_at else said

    @property
    def endings(self) -> frozenset[str]:
        """The states it may end in."""
        if self.kind in ("not_finite", "poison"):
            return frozenset({"failed"})
        return frozenset({"succeeded", "cancelled"} if self.kind == "cancelled" else {"succeeded"})

    @property
    def errors(self) -> frozenset[str]:
        """The codes of a failure."""
        if self.kind == "not_finite":
            return frozenset({NOT_FINITE})
        return frozenset({"child_crashed", "worker_lost", "worker_error", "child_stalled"})

    def journal(self) -> list[JournalEntry]:
        """Every entry of the undisturbed run."""
        if self.kind == "not_finite":
            failed = RunFailed(code=NOT_FINITE, message="the loss is not finite", hint="a smaller learning rate")
            return [*run(self.epochs)[:4], JournalEntry(number=5, event=failed)]
        return run(self.epochs)


@dataclass
class Scripts:
    """The units of one run by the key that they are submitted under."""

    by_key: dict[str, Script] = field(default_factory=dict)
    real: set[str] = field(default_factory=set)
    """Keys of jobs that train for real: they must equal each other."""
    diverging: set[str] = field(default_factory=set)
    """Keys of jobs that train for real until their loss is no number any more."""

    @property
    def keys(self) -> set[str]:
        """All of them."""
        return {*self.by_key, *self.real, *self.diverging}


def draw(count: int, rng: random.Random) -> list[Script]:
    """`count` units in the proportions above, every kind at least once and every point in turn; shuffled."""
    if count < len(_MIX):
        raise ValueError(f"a run has at least {len(_MIX)} units")
    kinds = [kind for kind, share in _MIX.items() for _ in range(max(1, share * count // 100)) if kind != "plain"]
    kinds += ["plain"] * (count - len(kinds))
    scripts, dying = [], 0
    for kind in kinds:
        die_at = ""
        if kind == "dies":
            die_at = CHILD_POINTS[dying % len(CHILD_POINTS)]
            dying += 1
        pause = rng.uniform(0.05, 0.15) if kind in ("cancelled", "paused") else rng.choice((0.0, 0.02, 0.05))
        epochs = rng.choice(EPOCHS[2:]) if kind != "plain" else rng.choice(EPOCHS)
        scripts.append(Script(kind, epochs, pause, die_at))
    rng.shuffle(scripts)
    return scripts


def write_journals(folder: Path) -> None:
    """The journals as files, which the child copies: it then imports nothing of ours that is slow."""
    folder.mkdir(parents=True, exist_ok=True)
    for epochs in EPOCHS:
        for kind in ("plain", "not_finite"):
            lines = b"".join(encode(entry) for entry in Script(kind, epochs, 0.0).journal())
            (folder / f"{kind}-{epochs}.jsonl").write_bytes(lines)
