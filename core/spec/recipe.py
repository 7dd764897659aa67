"""The recipe part of a job spec: model, blending strategy, training, measuring, where to run."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from core.spec.base import Bool, Float, Int, Name, Positive, SpecModel


class ModelSpec(SpecModel):
    """How the modalities are joined, and the classifiers behind (Wang et al. 2020, section 2.1)."""

    fusion: Literal["concat", "mid_concat", "se_gate", "nl_gate"] = "concat"
    """`concat`: the encoders' features side by side; `mid_concat`: joined before the encoders' last layers;
    `se_gate`, `nl_gate`: joined behind a squeeze-and-excitation gate or a non-local block over the modalities."""
    hidden: Annotated[Int, Field(ge=0, le=8192)] = 0
    """Width of one hidden layer in the fused head; 0: a linear classifier, as the uni-modal heads are."""
    dropout: Annotated[Float, Field(ge=0.0, lt=1.0)] = 0.0
    """Dropout on the features in front of every head."""


class SuperEpochs(SpecModel):
    """Lengths of the online super-epochs in epochs; the last one may be shorter. The paper's are 10, then 5."""

    first: Positive = 5
    later: Positive = 5


class ExactEstimator(SpecModel):
    """GB_Estimate, the paper's Algorithm 1: train a copy of each head alone and measure before and after."""

    type: Literal["exact"] = "exact"
    optimizer_state: Literal["fresh", "live"] = "fresh"
    """Whether the copies start with an empty optimizer or with the live model's moments."""
    subset: Annotated[Float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of the training rows that the copies are trained on and that L_T is measured on (the paper's T'). Below 1
    they are drawn anew for every super-epoch, stratified by class, from the job's seed; the cost falls as they do."""


class GradientEstimator(SpecModel):
    """The paper's Eq. 4: the losses on T and V, differentiated along the step that each head would take.

    Costs a fixed number of batches per super-epoch, however long that is.
    """

    type: Literal["gradient"] = "gradient"
    steps: Annotated[Int, Field(ge=1, le=10_000)] = 8
    """Batches of the training rows from which each head's copy takes its step."""
    rows: Annotated[Int, Field(ge=2, le=1_000_000)] = 1024
    """The most rows of T, and of V, whose losses are differentiated; more rows, smaller standard errors."""


class TrajectoryEstimator(SpecModel):
    """The live model's own heads between two super-epochs: no extra training, online only.

    The first super-epoch has equal weights. A head whose weight is 0 is not trained and may never come back: set a
    `floor` where that matters.
    """

    type: Literal["trajectory"] = "trajectory"


def _exact_by_default(value: Any) -> Any:
    """Specs from the time when there was one estimator name no type."""
    return {"type": "exact", **value} if isinstance(value, dict) and "type" not in value else value


Estimator = Annotated[
    ExactEstimator | GradientEstimator | TrajectoryEstimator,
    Field(discriminator="type"),
    BeforeValidator(_exact_by_default),
]


class NaiveBlending(SpecModel):
    """Joint training on the fused loss alone: the baseline that the paper starts from."""

    strategy: Literal["naive"] = "naive"


class UnimodalBlending(SpecModel):
    """One modality's encoder and head, alone."""

    strategy: Literal["unimodal"] = "unimodal"
    modality: Name


class EqualBlending(SpecModel):
    """Every head's loss with weight 1/(M+1): the auxiliary-loss baseline."""

    strategy: Literal["equal"] = "equal"


class FixedBlending(SpecModel):
    """Weights chosen by hand; normalised to sum 1. A head left out has weight 0."""

    strategy: Literal["fixed"] = "fixed"
    weights: dict[str, Annotated[Float, Field(ge=0.0)]]

    @field_validator("weights")
    @classmethod
    def _not_all_zero(cls, weights: dict[str, float]) -> dict[str, float]:
        if sum(weights.values()) <= 0.0:
            raise ValueError("at least one weight must be above 0")
        if not math.isfinite(sum(weights.values())):
            raise ValueError("the weights have no finite sum; what counts is their ratio")
        return weights


class UncertaintyBlending(SpecModel):
    """Weights learnt with the network, from each head's training loss (Kendall, Gal, Cipolla, CVPR 2018)."""

    strategy: Literal["uncertainty"] = "uncertainty"


class OgmGeBlending(SpecModel):
    """The naive loss; the encoder of the modality that runs ahead is slowed down (Peng et al., CVPR 2022).

    Needs `model.fusion` `concat` and `model.hidden` 0. Under Adam the modulation is in part divided out again.
    """

    strategy: Literal["ogm_ge"] = "ogm_ge"
    alpha: Annotated[Float, Field(gt=0.0, le=10.0)] = 0.5
    """How strongly: the coefficient is `1 - tanh(alpha * discrepancy)`. The paper tunes it per data set."""
    noise: Bool = True
    """The GE part: Gaussian noise of the gradient's own spread on the encoders' gradients."""


class MmParetoBlending(SpecModel):
    """Every head's loss with factor 1; on each encoder the fused and the uni-modal gradient are combined so that
    neither disturbs the other (Wei, Hu, ICML 2024)."""

    strategy: Literal["mmpareto"] = "mmpareto"
    gamma: Annotated[Float, Field(gt=0.0, le=10.0)] = 1.5
    """Factor on the length of the combined gradient."""


class EnsembleBlending(SpecModel):
    """Every modality's network trained as `unimodal` trains it, nothing shared; the average of the heads answers.

    There is no fused head to train or to fine-tune.
    """

    strategy: Literal["ensemble"] = "ensemble"


Policy = Literal["shrunk", "paper", "correlated"]

Share = Annotated[Float, Field(ge=0.0, le=1.0)]


class OfflineBlending(SpecModel):
    """One estimate over the whole run length, then training with its weights (Algorithm 2)."""

    strategy: Literal["offline"] = "offline"
    policy: Policy = "shrunk"
    """`shrunk`: `w ~ G / (O^2 + SE(O)^2)`; `paper`: the raw `G / O^2`; `correlated`: `w ~ Sigma^-1 G`, `w >= 0`."""
    floor: Share | dict[str, Share] = 0.5
    """The least weight of every head, or of the heads that are named, as a share of the equal weight 1/(M+1)."""
    cap_noise: bool = True
    """Whether a head whose gain G does not stand out of its noise gets no more than the equal weight 1/(M+1)."""
    estimator: Estimator = ExactEstimator()

    @field_validator("estimator")
    @classmethod
    def _has_something_to_look_at(cls, estimator: Estimator) -> Estimator:
        if isinstance(estimator, TrajectoryEstimator):
            raise ValueError(
                "the trajectory estimator compares the live model before and after a super-epoch, and an offline "
                "estimate is made before any training: use the strategy 'online', or another estimator"
            )
        return estimator


class OnlineBlending(SpecModel):
    """A fresh estimate at every super-epoch (Algorithm 3)."""

    strategy: Literal["online"] = "online"
    policy: Policy = "shrunk"
    """`shrunk`: `w ~ G / (O^2 + SE(O)^2)`; `paper`: the raw `G / O^2`; `correlated`: `w ~ Sigma^-1 G`, `w >= 0`."""
    floor: Share | dict[str, Share] = 0.5
    """The least weight of every head, or of the heads that are named, as a share of the equal weight 1/(M+1)."""
    cap_noise: bool = True
    """Whether a head whose gain G does not stand out of its noise gets no more than the equal weight 1/(M+1)."""
    smoothing: Annotated[Float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the previous super-epoch's weights in the new ones: an exponential moving average."""
    warm_up: Annotated[Int, Field(ge=0, le=10_000)] = 0
    """Epochs of equal weights before the first estimate; fewer than `training.epochs`."""
    estimator: Estimator = GradientEstimator()
    super_epochs: SuperEpochs = SuperEpochs()


Blending = Annotated[
    NaiveBlending
    | UnimodalBlending
    | EnsembleBlending
    | EqualBlending
    | FixedBlending
    | UncertaintyBlending
    | OgmGeBlending
    | MmParetoBlending
    | OfflineBlending
    | OnlineBlending,
    Field(discriminator="strategy"),
]


class Sgd(SpecModel):
    """Stochastic gradient descent with momentum."""

    type: Literal["sgd"]
    lr: Annotated[Float, Field(gt=0.0, le=10.0)] = 0.01
    momentum: Annotated[Float, Field(ge=0.0, lt=1.0)] = 0.9
    weight_decay: Annotated[Float, Field(ge=0.0, le=1.0)] = 0.0


class Adam(SpecModel):
    """Adam with decoupled weight decay (AdamW; with `weight_decay` 0 the two are the same)."""

    type: Literal["adam"] = "adam"
    lr: Annotated[Float, Field(gt=0.0, le=10.0)] = 1e-3
    weight_decay: Annotated[Float, Field(ge=0.0, le=1.0)] = 0.0


Optimizer = Annotated[Sgd | Adam, Field(discriminator="type")]


class FineTune(SpecModel):
    """The final fine-tune of the fused head on frozen encoders (the protocol of the paper's Fig. 5b).

    Blending with a small fused weight starves that head; a few epochs on the frozen features feed it. Every strategy
    gets the same fine-tune, so that comparisons stay fair.
    """

    enabled: Bool = True
    epochs: Positive = 5


class LossSpec(SpecModel):
    """The loss of a sample: the same in training, in measuring and in estimating weights.

    Cross-entropy for classes, the mean binary cross-entropy over labels for multilabel, the squared error of the
    standardised target for a regression.
    """

    class_weights: Literal["none", "balanced"] | dict[str, Annotated[Float, Field(gt=0.0)]] = "none"
    """Multiclass and binary: how much a class's samples count. `balanced`: every class as much as any other; or a
    weight per class, 1 where left out. Weights are scaled to a mean of 1 over the training rows, so that the learning
    rate keeps its meaning."""
    label_smoothing: Annotated[Float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of a target's probability that is spread evenly over all classes; not for a regression."""


class EarlyStopping(SpecModel):
    """End when the loss in training has not fallen for a while, and keep the best epoch's parameters.

    Looked at after every epoch: the weighted loss of the heads in training, on the validation part (on V where there is
    none); the plain mean of the heads' losses where weights change. Each network of an `ensemble` ends by itself.
    """

    patience: Positive
    """Epochs without a new lowest loss after which training ends."""


class TrainingSpec(SpecModel):
    """How long and with what every strategy trains."""

    epochs: Annotated[Int, Field(ge=1, le=10_000)] = 20
    batch_size: Annotated[Int, Field(ge=1, le=65_536)] = 64
    optimizer: Optimizer = Adam()
    max_grad_norm: Annotated[Float, Field(gt=0.0)] | None = None
    """Clip each head's (or the blended) gradient to this norm; left out: no clipping."""
    loss: LossSpec = LossSpec()
    fine_tune: FineTune = FineTune()
    keep: Literal["best", "last"] = "best"
    """`best`: the last epoch's parameters, unless an earlier epoch did better on the validation part (on V where there
    is none) by more than one standard error; then that one's. `last`: always the last one's."""
    early_stopping: EarlyStopping | None = None
    """Left out: all epochs are trained, and the last one's parameters stay."""
    pretrain_epochs: Annotated[Int, Field(ge=0, le=10_000)] = 0
    """Epochs that every modality's encoder and head train alone first; joint training starts from there with a fresh
    optimizer."""


class RuntimeSpec(SpecModel):
    """Where and how the training process runs."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    deterministic: Bool = True
    """Refuse kernels whose result may differ from run to run. On a CPU a resumed run is then bit-identical."""


class DiagnosticsSpec(SpecModel):
    """What is computed at the end of a run so that one can judge its result."""

    contributions: Bool = True
    """Each modality's contribution: the answer's test score with that modality shuffled (a few passes over test)."""
    forgetting: Bool = False
    """How much of each modality's own skill the joint training forgot: trains every modality alone for as many epochs
    and compares linear probes on the encoders. Costs about as much again as an ensemble."""


Answer = Literal["auto", "heads_pool", "fused_fine_tuned", "fused", "heads_average", "best_single"]
"""What the trained model answers with; `auto` chooses on the validation part (on V where there is none).

`heads_pool`: the weighted average of all trained heads' log-probabilities, with weights fitted on that part;
`fused_fine_tuned`: the fused head after its fine-tune; `fused`: as blending left it; `heads_average`: the heads'
probabilities averaged with the blend's weights; `best_single`: the best modality's own head.
"""
