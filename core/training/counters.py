"""Where a run is, in numbers: what a checkpoint writes down beside the tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.training.estimators import Spent


@dataclass
class Position:
    """How far the pass under way is. Its order comes from its seed: the sampler has no state but the number done."""

    done: int = 0
    """Steps that are done: batches, and after them heads where an estimator takes these one after another."""
    samples: int = 0
    """Forward and backward, summed over heads."""
    seconds: float = 0.0
    """Without what was spent on writing checkpoints."""


@dataclass
class Counters:
    """Where the run is. Every field is written into each checkpoint."""

    super_epoch: int = 0
    """Index of the super-epoch that is under way."""
    estimate_epoch: int = 0
    """Epochs of its estimate that are done."""
    estimate_cost: dict[str, float] = field(default_factory=lambda: _nothing())
    decided: bool = False
    """Whether its weights are known."""
    pretrain_epoch: int = 0
    """Epochs of the pre-training that are done."""
    epoch: int = 0
    """Blended epochs of the run that are done."""
    fine_tune_epoch: int = 0
    weights: dict[str, float] = field(default_factory=dict)
    """Of the super-epoch under way, or of the one before it while that is being estimated; empty at the start."""
    trained: list[str] = field(default_factory=list)
    """Heads that have had a weight above 0 in some epoch."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """The events `super_epoch.weights` so far, as JSON."""
    cost: dict[str, dict[str, float]] = field(default_factory=dict)
    """Phase -> `seconds` (they differ from run to run), `samples` and `measured` (they do not)."""
    under_way: Position = field(default_factory=Position)
    """Of the pass that is under way, which no other field knows of before it is over; at its start between passes."""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Counters:
        """From a checkpoint; those of format 1 know of no pass under way."""
        return cls(**{**raw, "under_way": Position(**raw.get("under_way", {}))})

    @property
    def begun(self) -> bool:
        """Whether anything has been counted."""
        whole = self.pretrain_epoch or self.super_epoch or self.estimate_epoch or self.decided
        return bool(whole or self.under_way.done)

    def charge(self, phase: str, *, seconds: float, samples: int, measured: int = 0) -> None:
        """Adds to what a phase has cost."""
        _add(self.cost.setdefault(phase, _nothing()), seconds, samples, measured)

    def charge_estimate(self, *, seconds: float, spent: Spent) -> None:
        """Adds to what this super-epoch's estimate, and estimating in all, have cost."""
        _add(self.estimate_cost, seconds, spent.samples, spent.measured)
        self.charge("estimating", seconds=seconds, samples=spent.samples, measured=spent.measured)

    def forget_estimate_cost(self) -> None:
        """The estimate under way is made elsewhere after all: what it has cost here counts no more."""
        for name, value in self.estimate_cost.items():
            if value:
                self.cost["estimating"][name] -= value
        self.estimate_cost = _nothing()

    def next_super_epoch(self) -> None:
        """The super-epoch under way is over."""
        self.super_epoch += 1
        self.estimate_epoch = 0
        self.estimate_cost = _nothing()
        self.decided = False


def _nothing() -> dict[str, float]:
    return {"seconds": 0.0, "samples": 0, "measured": 0}


def _add(spent: dict[str, float], seconds: float, samples: int, measured: int) -> None:
    spent["seconds"] += seconds
    spent["samples"] += samples
    spent["measured"] += measured
