"""Everything a run has in its hands: data, live model, counters; how it is written down and picked up again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from core.blend import SuperEpoch, offline, online
from core.data.dataset import PreparedData
from core.events import EarlyStop, Measurement, Restored
from core.events.types import Split
from core.models.classifier import MultimodalClassifier, build_model
from core.models.seeding import derive
from core.spec import (
    FUSED,
    EnsembleBlending,
    JobSpec,
    NaiveBlending,
    OgmGeBlending,
    OnlineBlending,
    UncertaintyBlending,
    UnimodalBlending,
)
from core.spec.recipe import Estimator, ExactEstimator, OfflineBlending, TrajectoryEstimator
from core.training.augment import Augmentation
from core.training.batches import Batches, Rows
from core.training.checkpoint import Checkpoint
from core.training.counters import Counters
from core.training.decisions import constant_weights
from core.training.distributed import ALONE, Ranks, checksum
from core.training.early_stopping import EarlyStopping
from core.training.estimators import Estimate, Ground, LiveLosses, Spent, open_estimate
from core.training.fine_tune import FrozenHead, fine_tuned
from core.training.keeping import BestEpoch
from core.training.learner import Learner, below
from core.training.learners import LIVE, apart, learners_of
from core.training.measure import Scores, measure
from core.training.objective import Objective, objective_for
from core.training.rules import Blend, Uncertainty
from core.training.spread import Joined


class Session:
    """The state of a run. `core.training.run` advances it; nothing else does."""

    def __init__(
        self,
        spec: JobSpec,
        data: PreparedData,
        device: torch.device,
        ranks: Ranks = ALONE,
        *,
        estimates_alone: str | None = None,
    ) -> None:
        """`estimates_alone`: the one head whose estimate this process is for; the run itself is another one's."""
        self.spec = spec
        self.data = data
        self.device = device
        self.ranks = ranks
        self.estimates_alone = estimates_alone
        seen = data if estimates_alone in (None, FUSED) else data.of([estimates_alone])
        self.batches = Batches(seen, device, spec.training.batch_size, ranks, Augmentation.of(spec.dataset))
        self.joined: Joined | None = None
        """The estimate that other processes have made for this run, head by head."""
        self.objective: Objective = objective_for(data, spec.training.loss, device)
        self.counters = Counters()
        self.schedule = schedule_of(spec)
        self.model = self._build_model()
        """The whole live model; the learners hold its tensors."""
        self.learners = learners_of(spec, self.model, self.objective, device, ranks)
        self.apart: dict[str, Learner] | None = None
        """The learners of the pre-training while that is under way."""
        self.alone: dict[str, Learner] | None = None
        """Every modality's network that is trained to tell what the joint one forgot, once that has begun."""
        self.keeping_alone: dict[str, BestEpoch] = {}
        """Who remembers the best epoch of each of those."""
        self.early_stopping = self._early_stopping()
        self.keeping = self.keepers(self.learners)
        self.estimate: Estimate | None = None
        self.live_losses = LiveLosses()
        self.fine_tune: FrozenHead | None = None

    @property
    def part_of_choice(self) -> Split:
        """Where epochs and answers are chosen: the validation part, or V where there is none."""
        return "validation" if len(self.data.split.validation) else "holdout"

    @property
    def live(self) -> Learner:
        """The learner of the whole model; strategies that share nothing have none (`KeyError`)."""
        return self.learners[LIVE]

    @property
    def heads(self) -> tuple[str, ...]:
        """The live model's heads: all M+1, or the one of a uni-modal run."""
        return self.model.heads

    @property
    def average(self) -> dict[str, float] | None:
        """The weights that `heads_average` answers with; `None` for strategies that train one head alone.

        A blend whose whole weight went to one head still has an average: that head.
        """
        if isinstance(self.spec.blending, NaiveBlending | UnimodalBlending | OgmGeBlending):
            return None
        return {head: weight for head, weight in self.counters.weights.items() if weight > 0.0}

    @property
    def fine_tunes(self) -> bool:
        """Whether a fused head is fine-tuned at the end: only where encoders have been trained for one."""
        joint = FUSED in self.heads and not isinstance(self.spec.blending, EnsembleBlending)
        return joint and self.spec.training.fine_tune.enabled

    @property
    def looks_for_forgetting(self) -> bool:
        """Whether a joint training is to be compared with its modalities alone (`diagnostics.forgetting`)."""
        joint = FUSED in self.heads and not isinstance(self.spec.blending, EnsembleBlending)
        return joint and self.spec.diagnostics.forgetting

    @property
    def identity(self) -> dict[str, str]:
        """What a checkpoint must agree with before this run goes on from it."""
        alone = {} if self.estimates_alone is None else {"head": self.estimates_alone}
        return {"spec": self.spec.fingerprint(), "dataset": self.data.fingerprint} | alone

    def measure(
        self, rows: Rows, heads: Sequence[str], *, module: nn.Module | None = None, average: bool = True
    ) -> dict[str, Scores]:
        """Scores of heads of the live model (or of `module`), and of their average where the strategy has one."""
        return measure(
            module or self.model,
            self.batches.in_order(rows),
            heads,
            objective=self.objective,
            average=self.average if average else None,
        )

    def super_epoch_now(self) -> SuperEpoch:
        """The super-epoch under way."""
        return self.schedule[self.counters.super_epoch]

    def weights_without_estimate(self) -> tuple[str, dict[str, float]]:
        """The name and the weights of a strategy that estimates nothing, as they are now."""
        rule = self.learners[LIVE].rule if LIVE in self.learners else None
        if isinstance(rule, Uncertainty):
            return self.spec.blending.strategy, rule.weights()
        return constant_weights(self.spec.blending, self.heads)

    def put_in_force(self, weights: Mapping[str, float]) -> None:
        """Trains with these weights from now on. A network that trains alone has its own head's loss, with factor 1."""
        if LIVE in self.learners:
            self.live.weights = weights

    def training(self) -> list[Learner]:
        """The learners that early stopping has not ended."""
        return [
            learner
            for name, learner in self.learners.items()
            if name not in self.early_stopping or not self.early_stopping[name].over
        ]

    def look_whether_to_stop(self, measurements: Sequence[Measurement]) -> tuple[EarlyStop, ...]:
        """Has early stopping judge the epoch that was just measured, for every learner that still trains."""
        epoch, last = self.counters.epoch, self.counters.epoch == self.spec.training.epochs
        return tuple(
            watch.look(measurements, epoch=epoch, last=last) for watch in self.early_stopping.values() if not watch.over
        )

    def look_what_to_keep(self, scores: Mapping[str, Scores]) -> tuple[Restored, ...]:
        """Shows the epoch just measured to those who remember the best one; `scores` are of the part of choice."""
        epoch, last = self.counters.epoch, self.counters.epoch == self.spec.training.epochs
        trained = {head: scores[head] for head in self.counters.trained}
        found = [watch.look(trained, epoch=epoch, last=last) for watch in self.keeping.values()]
        return tuple(restored for restored in found if restored is not None)

    def keepers(self, learners: Mapping[str, Learner]) -> dict[str, BestEpoch]:
        """Who remembers each learner's best epoch; empty where the last one stays anyway, or early stopping decides."""
        training = self.spec.training
        if training.keep == "last" or training.early_stopping is not None:
            return {}
        rows = self.data.split.as_dict()[self.part_of_choice]
        groups = None if self.data.groups is None else self.data.groups[rows]
        return {name: BestEpoch(learner, groups) for name, learner in learners.items()}

    def open_pretraining(self) -> None:
        """The learners of the pre-training, as they are before their first step."""
        self.apart = apart(self.spec, self.model, self.objective, self.device, self.ranks)

    def open_alone(self) -> dict[str, Learner]:
        """A network per modality that has nothing to do with the live model, as it is before its first step."""
        model = build_model(self.spec, self.data.modalities, self.data.outputs, self.data.tuned).to(self.device)
        self.alone = apart(self.spec, model, self.objective, self.device, self.ranks)
        self.keeping_alone = self.keepers(self.alone)
        return self.alone

    def forget_alone(self) -> None:
        """They have told what they were trained for."""
        self.alone, self.keeping_alone = None, {}

    def open_estimate(self) -> Estimate:
        """The copies for the estimate of this super-epoch, as they are before their first step."""
        return open_estimate(estimator_of(self.spec), self.ground())

    def ground(self) -> Ground:
        """What the estimate of this super-epoch stands on."""
        return Ground(
            live=self.live,
            heads=self.heads if self.estimates_alone is None else (self.estimates_alone,),
            objective=self.objective,
            training=self.spec.training,
            batches=self.batches,
            targets=self.data.targets,
            train=self.data.split.train,
            holdout=self.data.split.holdout,
            device=self.device,
            run_seed=self.spec.seed,
            super_epoch=self.counters.super_epoch,
            epochs=self.super_epoch_now().epochs,
        )

    def keeps_live_losses(self) -> bool:
        """Whether the next estimate needs the losses of every live head as they are at the end of this super-epoch."""
        following = self.counters.super_epoch + 1
        if not isinstance(self.spec.blending, OfflineBlending | OnlineBlending) or following == len(self.schedule):
            return False
        estimator = estimator_of(self.spec)
        if isinstance(estimator, TrajectoryEstimator):
            return True
        return isinstance(estimator, ExactEstimator) and self.schedule[following].estimated

    def look_before_training(self) -> Spent:
        """Measures the live heads where the estimator will want to know where they started, and nobody has looked."""
        follows = isinstance(estimator_of(self.spec), TrajectoryEstimator) and self.keeps_live_losses()
        if not follows or self.live_losses.now is not None:
            return Spent()
        found, spent = self.ground().measure_parts()
        self.live_losses.now = found
        return spent

    def forget_estimate(self) -> None:
        """The weights are in force and the live model is about to be trained."""
        self.estimate = None
        if self.live_losses.now is not None:
            follows = isinstance(estimator_of(self.spec), TrajectoryEstimator)
            self.live_losses.turn(keep=follows and self.keeps_live_losses())

    def take_joined(self, joined: Joined) -> None:
        """The estimate was made by other processes; whatever of it this run had begun itself is dropped.

        `counters.estimate_epoch` stays: it says that the beginning has been told.
        """
        self.joined, self.estimate = joined, None
        self.counters.forget_estimate_cost()

    def open_fine_tune(self) -> FrozenHead:
        """The fused head's copy with the frozen features of the training rows."""
        return fine_tuned(
            self.model,
            self.batches.in_order(self.data.split.train),
            rule=Blend(self.objective),
            training=self.spec.training,
            seed=derive(self.spec.seed, "fine_tune"),
            device=self.device,
            ranks=self.ranks,
        )

    def tensors(self) -> dict[str, Tensor]:
        """All tensors that a checkpoint must hold."""
        found = _prefixed("learner", self.learners) | _prefixed("early_stopping", self.early_stopping)
        found |= _prefixed("keeping", self.keeping)
        if self.apart is not None:
            found |= _prefixed("apart", self.apart)
        if self.alone is not None:
            found |= _prefixed("alone", self.alone) | _prefixed("keeping_alone", self.keeping_alone)
        if self.estimate is not None:
            found |= {f"estimate.{name}": value for name, value in self.estimate.tensors().items()}
        found |= {f"losses.{name}": value for name, value in self.live_losses.tensors().items()}
        if self.fine_tune is not None:
            found |= {f"fine_tune.{name}": value for name, value in self.fine_tune.learner.tensors().items()}
        return found

    def restore(self, checkpoint: Checkpoint) -> None:
        """Puts the run where the checkpoint was taken."""
        self.counters = Counters.of(checkpoint.counters)
        for name, learner in self.learners.items():
            learner.load(below(checkpoint.tensors, f"learner.{name}"))
        for name, watch in self.early_stopping.items():
            watch.load(below(checkpoint.tensors, f"early_stopping.{name}"))
        for name, keeper in self.keeping.items():
            keeper.load(below(checkpoint.tensors, f"keeping.{name}"))
        if self.counters.weights:
            self.put_in_force(self.counters.weights)
        if below(checkpoint.tensors, "apart"):
            self.open_pretraining()
            for name, learner in (self.apart or {}).items():
                learner.load(below(checkpoint.tensors, f"apart.{name}"))
        if below(checkpoint.tensors, "alone"):
            for name, learner in self.open_alone().items():
                learner.load(below(checkpoint.tensors, f"alone.{name}"))
            for name, keeper in self.keeping_alone.items():
                keeper.load(below(checkpoint.tensors, f"keeping_alone.{name}"))
        if estimate := below(checkpoint.tensors, "estimate"):
            self.estimate = self.open_estimate()
            self.estimate.load(estimate)
        self.live_losses = LiveLosses.of(below(checkpoint.tensors, "losses"))
        if fine_tune := below(checkpoint.tensors, "fine_tune"):
            self.fine_tune = self.open_fine_tune()
            self.fine_tune.learner.load(fine_tune)

    def compare_replicas(self) -> None:
        """Raises `DivergedError` where the processes that train this job do not hold the same parameters and buffers.

        (No encoder here learns statistics of batches: each process would by its own rows, and this would find it.)
        """
        if not self.ranks.is_alone:
            learners = [*self.learners.values(), *(self.apart or {}).values()]
            learners += [self.fine_tune.learner] if self.fine_tune is not None else []
            self.ranks.agree(
                "the parameters", checksum([t for each in learners for t in each.module.state_dict().values()])
            )

    def counters_json(self) -> dict[str, Any]:
        """The counters as JSON."""
        return asdict(self.counters)

    def _build_model(self) -> MultimodalClassifier:
        model = build_model(self.spec, self.data.modalities, self.data.outputs, self.data.tuned)
        if isinstance(self.spec.blending, UnimodalBlending):
            model = model.copy_of([self.spec.blending.modality])
        return model.to(self.device)

    def _early_stopping(self) -> dict[str, EarlyStopping]:
        """By learner; empty where it was not asked for."""
        asked = self.spec.training.early_stopping
        even = isinstance(self.spec.blending, OfflineBlending | OnlineBlending | UncertaintyBlending)
        return {
            name: EarlyStopping(learner, patience=asked.patience, part=self.part_of_choice, even=even)
            for name, learner in self.learners.items()
            if asked is not None
        }


def _prefixed(group: str, members: Mapping[str, Learner | EarlyStopping | BestEpoch]) -> dict[str, Tensor]:
    """Every member's tensors under `group.<its name>.`."""
    return {
        f"{group}.{member}.{name}": value
        for member, holder in members.items()
        for name, value in holder.tensors().items()
    }


def schedule_of(spec: JobSpec) -> tuple[SuperEpoch, ...]:
    """The super-epochs of a run. Strategies whose weights never change have one; weights that are learnt with the
    network change with every step, and are recorded at every epoch."""
    if isinstance(spec.blending, UncertaintyBlending):
        return online(spec.training.epochs, first=1, later=1)
    if isinstance(spec.blending, OnlineBlending):
        lengths = spec.blending.super_epochs
        found = online(spec.training.epochs, first=lengths.first, later=lengths.later, warm_up=spec.blending.warm_up)
        if isinstance(spec.blending.estimator, TrajectoryEstimator):
            # Nothing lies behind the first super-epoch that its weights could be estimated from.
            return (replace(found[0], estimated=False), *found[1:])
        return found
    return offline(spec.training.epochs)


def estimator_of(spec: JobSpec) -> Estimator:
    """The estimator's settings of a strategy that estimates."""
    assert isinstance(spec.blending, OfflineBlending | OnlineBlending)
    return spec.blending.estimator
