"""What the estimators share: the ground that they stand on, the shape of an estimate, rows, measured losses.

An estimator answers one question per super-epoch: how much does each head generalise, and how much does it overfit, for
the training that lies ahead? It answers with per-sample losses before and after on the same rows of T and of V
(`HeadLosses`), so that G, O, their errors, the bootstrap and every policy are the same code whatever was estimated how.

Shape letters: T = rows of the training part that are looked at, V = rows of the held-out part that are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.blend import HeadLosses
from core.data.dataset import PreparedData
from core.events.types import Split
from core.models.classifier import MultimodalClassifier
from core.models.seeding import derive
from core.spec.recipe import TrainingSpec
from core.training.batches import Batches, Rows
from core.training.learner import Learner, below
from core.training.measure import Scores, measure
from core.training.objective import Objective
from core.training.rng import RngStream
from core.training.rules import Blend

Losses = dict[str, Tensor]
"""Head -> per-sample losses in 64-bit, on the CPU: [T] or [V]."""
Tick = Callable[[int], None]
"""Told, after every step, so many samples (forward and backward, summed over heads) as were processed in it."""
PARTS: tuple[Split, ...] = ("train", "holdout")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a step of an estimate took, summed over heads."""

    samples: int = 0
    """Forward and backward."""
    measured: int = 0
    """Forward only, to be measured."""

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.samples + other.samples, self.measured + other.measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every estimate of a run stands on. Nothing in it is changed by an estimate."""

    live: Learner
    heads: tuple[str, ...]
    objective: Objective
    training: TrainingSpec
    batches: Batches
    targets: NDArray[np.generic]
    """[N] or [N, K], of all rows of the data set."""
    train: Rows
    holdout: Rows
    device: torch.device
    run_seed: int
    super_epoch: int
    epochs: int
    """Of the super-epoch that is being estimated."""

    @property
    def model(self) -> MultimodalClassifier:
        """The live model."""
        assert isinstance(self.live.module, MultimodalClassifier)
        return self.live.module

    @property
    def seed(self) -> int:
        """Of this super-epoch's estimate."""
        return derive(self.run_seed, "estimate", self.super_epoch)

    def order(self, epoch: int) -> int:
        """The seed of the order in which every copy sees the data in one pass."""
        return derive(self.run_seed, "order", "estimate", self.super_epoch, epoch)

    def copies(self, *, moments: bool) -> dict[str, Learner]:
        """A learner per head that shares nothing with the live model; with its optimizer's `moments`, or without."""
        found = {
            head: Learner(
                self.model.copy_of([head]),
                {head: 1.0},
                rule=Blend(self.objective),
                optimizer=self.training.optimizer,
                rng=RngStream(derive(self.seed, "rng", head), self.device, self.batches.ranks),
                max_grad_norm=self.training.max_grad_norm,
            )
            for head in self.heads
        }
        if moments:
            for learner in found.values():
                learner.adopt_optimizer_state(self.live)
        return found

    def measure(self, module: nn.Module, rows: Rows) -> Losses:
        """Every head's losses on `rows`, by the code that measures everything else."""
        return losses_of(measure(module, self.batches.in_order(rows), self.heads, objective=self.objective), self.heads)

    def measure_parts(
        self, module: nn.Module | None = None, *, train: Rows | None = None
    ) -> tuple[dict[Split, Losses], Spent]:
        """Part -> losses of the live model's heads (or `module`'s) on T (or the rows `train`) and V; what it cost."""
        parts: dict[Split, Rows] = {"train": self.train if train is None else train, "holdout": self.holdout}
        losses = {part: self.measure(module or self.model, rows) for part, rows in parts.items()}
        return losses, Spent(measured=len(self.heads) * sum(map(len, parts.values())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an estimate comes to."""

    losses: dict[str, HeadLosses]
    """In the order of the heads."""
    train: Rows
    """The rows of the data set that `train_before` and `train_after` belong to, in their order."""
    holdout: Rows
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Head -> what its record must say about the way in which it was estimated."""


class Estimate(Protocol):
    """One super-epoch's estimate: `begin`, then `epoch` so many times as `epochs` says, then `finish`.

    A checkpoint may be taken between two epochs, and whenever `tick` is called: `done` is how often it was called, for
    this epoch or this `finish`, before the checkpoint that was loaded. What lies between two calls is done again, which
    gives the same numbers: everything depends on the live model, the copies, the data and seeds alone.
    """

    @property
    def epochs(self) -> int:
        """Passes over the training rows that it makes."""

    def begin(self, known: LiveLosses) -> Spent:
        """Measures the losses before, or takes them out of what is known. Called once, and not after `load`."""

    def epoch(self, index: int, tick: Tick, done: int = 0) -> Spent:
        """Pass `index`, from 0; returns what the whole of it took, what was done before included."""

    def finish(self, tick: Tick, done: int = 0) -> tuple[Found, Spent]:
        """The losses before and after, and what it took, as `epoch` does."""

    def tensors(self) -> dict[str, Tensor]:
        """The whole state, for a checkpoint; empty where there is none to keep."""

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`."""


@dataclass
class LiveLosses:
    """What has been measured of the live model's own heads, on all of T and V: part -> head -> losses.

    Measuring after an epoch and measuring before the next estimate is one pass over the same rows: it is made once.
    """

    now: dict[Split, Losses] | None = None
    """Of the model as it stands; None where nobody has looked since it was last trained."""
    earlier: dict[Split, Losses] | None = None
    """At the start of the super-epoch that has just been trained, or is being trained."""

    def turn(self, *, keep: bool) -> None:
        """Training is about to begin: what holds now will be what held at its start, if somebody wants to `keep` it."""
        self.now, self.earlier = None, self.now if keep else None

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {
            f"{when}.{part}.{head}": values
            for when in ("now", "earlier")
            for part, losses in (getattr(self, when) or {}).items()
            for head, values in losses.items()
        }

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> LiveLosses:
        """The inverse of `tensors`."""
        found = {
            when: {part: below(tensors, f"{when}.{part}") for part in PARTS}
            for when in ("now", "earlier")
            if below(tensors, when)
        }
        return cls(now=found.get("now"), earlier=found.get("earlier"))


def losses_of(scores: Mapping[str, Scores], heads: Iterable[str]) -> Losses:
    """The losses of these heads alone."""
    return {head: torch.from_numpy(np.asarray(scores[head].losses)) for head in heads}


def paired(
    heads: Iterable[str], before: Mapping[Split, Losses], after: Mapping[Split, Losses]
) -> dict[str, HeadLosses]:
    """`HeadLosses` of every head from losses by part and head."""
    return {
        head: HeadLosses(
            train_before=before["train"][head].numpy(),
            train_after=after["train"][head].numpy(),
            holdout_before=before["holdout"][head].numpy(),
            holdout_after=after["holdout"][head].numpy(),
        )
        for head in heads
    }


def draw(rows: Rows, targets: NDArray[np.generic], count: int, seed: int) -> Rows:
    """`count` of `rows`, ascending, drawn without replacement, each of them equally likely.

    Where targets are classes the draw is stratified: a class has its share of the rows, give or take one. All rows, as
    they are, where `count` is not below their number.
    """
    if count >= len(rows):
        return rows
    rng = np.random.default_rng(seed)
    classes = _classes(targets, rows)
    strata = np.zeros(len(rows), dtype=np.int64) if classes is None else classes
    # Systematic sampling: classes one after another, each in random order, and every (N / count)-th row of that.
    line = np.lexsort((rng.random(len(rows)), strata))
    picks = np.floor((np.arange(count) + rng.random()) * (len(rows) / count)).astype(np.int64)
    return np.sort(rows[line[np.minimum(picks, len(rows) - 1)]])


def strata_of(data: PreparedData, part: Rows, rows: Rows) -> NDArray[np.int64] | None:
    """Codes `[len(rows)]` of the strata by which `rows` of `part` (T or V) came about; None: by none.

    V was drawn from the training rows by `PreparedData.strata`, and T is what it left, so each holds every stratum in a
    fixed proportion. A sample of either is what `draw` makes it: by classes, or by nothing. Whole groups were not drawn
    within strata.
    """
    if data.holdout_groups:
        return None
    if len(rows) < len(part):
        classes = _classes(data.targets, rows)
        return None if classes is None else classes.astype(np.int64)
    # The strata are those of all training rows together: which label is rare, and where bins end, depends on them.
    drawn_from = np.sort(np.concatenate([data.split.train, data.split.holdout]))
    codes: NDArray[np.int64] = data.strata(drawn_from)[np.searchsorted(drawn_from, rows)]
    return codes


def _classes(targets: NDArray[np.generic], rows: Rows) -> NDArray[np.generic] | None:
    """The classes of these rows; None where targets are no classes."""
    chosen = targets[rows]
    return chosen if chosen.ndim == 1 and chosen.dtype.kind in "iub" else None


def samples_of(rows: int, batch_size: int, steps: int) -> int:
    """Rows in the first `steps` batches of endless passes over `rows` rows; each pass ends with its smaller batch."""
    per_pass = -(-rows // batch_size)
    passes, rest = divmod(steps, per_pass)
    return passes * rows + min(rest * batch_size, rows)
