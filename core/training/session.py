"""Everything a run has in its hands: data, live model, counters; how it is written down and picked up again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.blend import SuperEpoch, offline, online
from core.data.dataset import PreparedData
from core.models.classifier import MultimodalClassifier, build_model
from core.models.seeding import derive
from core.spec import FUSED, JobSpec, NaiveBlending, OnlineBlending, UnimodalBlending
from core.spec.recipe import ExactEstimator, OfflineBlending
from core.training.batches import Batches
from core.training.checkpoint import Checkpoint
from core.training.estimator import Estimate
from core.training.fine_tune import FineTune
from core.training.learner import Learner, below
from core.training.rng import RngStream


@dataclass
class Counters:
    """Where the run is. Every field is written into each checkpoint; whole epochs only, orders come from seeds."""

    super_epoch: int = 0
    """Index of the super-epoch that is under way."""
    estimate_epoch: int = 0
    """Epochs of its estimate that are done."""
    estimate_cost: dict[str, float] = field(default_factory=lambda: _nothing())
    decided: bool = False
    """Whether its weights are known."""
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
    """Phase -> `seconds` (they differ from run to run) and `samples` (they do not)."""

    def charge(self, phase: str, *, seconds: float, samples: int) -> None:
        """Adds to what a phase has cost."""
        _add(self.cost.setdefault(phase, _nothing()), seconds, samples)

    def charge_estimate(self, *, seconds: float, samples: int) -> None:
        """Adds to what this super-epoch's estimate, and estimating in all, have cost."""
        _add(self.estimate_cost, seconds, samples)
        self.charge("estimating", seconds=seconds, samples=samples)

    def next_super_epoch(self) -> None:
        """The super-epoch under way is over."""
        self.super_epoch += 1
        self.estimate_epoch = 0
        self.estimate_cost = _nothing()
        self.decided = False


def _nothing() -> dict[str, float]:
    return {"seconds": 0.0, "samples": 0}


def _add(spent: dict[str, float], seconds: float, samples: int) -> None:
    spent["seconds"] += seconds
    spent["samples"] += samples


class Session:
    """The state of a run. `core.training.run` advances it; nothing else does."""

    def __init__(self, spec: JobSpec, data: PreparedData, device: torch.device) -> None:
        self.spec = spec
        self.data = data
        self.device = device
        self.batches = Batches(data, device, spec.training.batch_size)
        self.counters = Counters()
        self.schedule = schedule_of(spec)
        self.live = self._live_learner()
        self.estimate: Estimate | None = None
        self.fine_tune: FineTune | None = None

    @property
    def model(self) -> MultimodalClassifier:
        """The live model."""
        assert isinstance(self.live.module, MultimodalClassifier)
        return self.live.module

    @property
    def heads(self) -> tuple[str, ...]:
        """The live model's heads: all M+1, or the one of a uni-modal run."""
        return self.model.heads

    @property
    def average(self) -> dict[str, float] | None:
        """The weights that `heads_average` answers with; `None` for strategies that train one head alone.

        A blend whose whole weight went to one head still has an average: that head.
        """
        return None if isinstance(self.spec.blending, NaiveBlending | UnimodalBlending) else self.live.weights

    @property
    def identity(self) -> dict[str, str]:
        """What a checkpoint must agree with before this run goes on from it."""
        return {"spec": self.spec.fingerprint(), "dataset": self.data.fingerprint}

    def super_epoch_now(self) -> SuperEpoch:
        """The super-epoch under way."""
        return self.schedule[self.counters.super_epoch]

    def open_estimate(self) -> Estimate:
        """The copies for the estimate of this super-epoch, as they are before their first step."""
        return Estimate(
            self.live,
            self.heads,
            estimator=estimator_of(self.spec),
            training=self.spec.training,
            seed=derive(self.spec.seed, "estimate", self.counters.super_epoch),
            device=self.device,
        )

    def open_fine_tune(self) -> FineTune:
        """The fused head's copy with the frozen features of the training rows."""
        return FineTune(
            self.model,
            self.batches,
            self.data.split.train,
            training=self.spec.training,
            seed=derive(self.spec.seed, "fine_tune"),
            device=self.device,
        )

    def tensors(self) -> dict[str, Tensor]:
        """All tensors that a checkpoint must hold."""
        found = {f"live.{name}": value for name, value in self.live.tensors().items()}
        if self.estimate is not None:
            found |= {f"estimate.{name}": value for name, value in self.estimate.tensors().items()}
        if self.fine_tune is not None:
            found |= {f"fine_tune.{name}": value for name, value in self.fine_tune.learner.tensors().items()}
        return found

    def restore(self, checkpoint: Checkpoint) -> None:
        """Puts the run where the checkpoint was taken."""
        self.counters = Counters(**checkpoint.counters)
        self.live.load(below(checkpoint.tensors, "live"))
        if self.counters.weights:
            self.live.weights = self.counters.weights
        if estimate := below(checkpoint.tensors, "estimate"):
            self.estimate = self.open_estimate()
            self.estimate.load(estimate)
        if fine_tune := below(checkpoint.tensors, "fine_tune"):
            self.fine_tune = self.open_fine_tune()
            self.fine_tune.learner.load(fine_tune)

    def counters_json(self) -> dict[str, Any]:
        """The counters as JSON."""
        return asdict(self.counters)

    def _live_learner(self) -> Learner:
        spec = self.spec
        model = build_model(spec, self.data.modalities, len(self.data.classes))
        if isinstance(spec.blending, UnimodalBlending):
            model = model.copy_of([spec.blending.modality])
        model.to(self.device)
        return Learner(
            model,
            dict.fromkeys(model.heads, 1.0),
            optimizer=spec.training.optimizer,
            rng=RngStream(derive(spec.seed, "rng", "live"), self.device),
            max_grad_norm=spec.training.max_grad_norm,
        )


def schedule_of(spec: JobSpec) -> tuple[SuperEpoch, ...]:
    """The super-epochs of a run; strategies whose weights never change have one."""
    if isinstance(spec.blending, OnlineBlending):
        lengths = spec.blending.super_epochs
        return online(spec.training.epochs, first=lengths.first, later=lengths.later)
    return offline(spec.training.epochs)


def estimator_of(spec: JobSpec) -> ExactEstimator:
    """The estimator's settings of a strategy that estimates."""
    assert isinstance(spec.blending, OfflineBlending | OnlineBlending)
    return spec.blending.estimator


def planned_samples(session: Session) -> int:
    """Forward-and-backward passes of the whole run, summed over heads: what progress is measured against."""
    rows, epochs = len(session.data.split.train), session.spec.training.epochs
    joint = FUSED in session.heads
    strategy = session.spec.blending.strategy
    heads = 1 if strategy in ("naive", "unimodal") else len(session.heads)
    total = rows * epochs * heads
    if strategy in ("offline", "online"):
        total += rows * epochs * len(session.heads)
    if joint and session.spec.training.fine_tune.enabled:
        total += rows * session.spec.training.fine_tune.epochs
    return total


def samples_done(counters: Counters) -> int:
    """What a resumed run has behind it already."""
    return int(sum(spent["samples"] for spent in counters.cost.values()))


@dataclass(frozen=True, slots=True)
class RunRequest:
    """`spec.json`: what a supervisor hands to the training process."""

    job_id: str
    spec: JobSpec
    roots: dict[str, Path]
    resume_from: tuple[Path, ...]

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> RunRequest:
        """Parses the file's content."""
        return cls(
            job_id=raw["job_id"],
            spec=JobSpec.model_validate(raw["spec"]),
            roots={name: Path(path) for name, path in raw["roots"].items()},
            resume_from=tuple(Path(path) for path in raw.get("resume_from", ())),
        )
