"""The recipe part of a job spec: model, blending strategy, training, measuring, where to run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from core.spec.base import Bool, Float, Int, Name, Positive, SpecModel


class ModelSpec(SpecModel):
    """Late fusion: the encoders' features are concatenated and classified (Wang et al. 2020, section 2.1)."""

    fusion: Literal["concat"] = "concat"
    hidden: Annotated[Int, Field(ge=0, le=8192)] = 0
    """Width of one hidden layer in the fused head; 0: a linear classifier, as the uni-modal heads are."""
    dropout: Annotated[Float, Field(ge=0.0, lt=1.0)] = 0.0
    """Dropout on the features in front of every head."""


class SuperEpochs(SpecModel):
    """Lengths of the online super-epochs in epochs. The paper's are 10, then 5; the last one may be shorter."""

    first: Positive = 10
    later: Positive = 5


class ExactEstimator(SpecModel):
    """GB_Estimate, the paper's Algorithm 1: train a copy of each head alone and measure before and after."""

    type: Literal["exact"] = "exact"
    optimizer_state: Literal["fresh", "live"] = "fresh"
    """Whether the copies start with an empty optimizer or with the live model's moments."""


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
        return weights


Policy = Literal["shrunk", "paper"]


class OfflineBlending(SpecModel):
    """One estimate over the whole run length, then training with its weights (Algorithm 2)."""

    strategy: Literal["offline"] = "offline"
    policy: Policy = "shrunk"
    estimator: ExactEstimator = ExactEstimator()


class OnlineBlending(SpecModel):
    """A fresh estimate at every super-epoch (Algorithm 3)."""

    strategy: Literal["online"] = "online"
    policy: Policy = "shrunk"
    estimator: ExactEstimator = ExactEstimator()
    super_epochs: SuperEpochs = SuperEpochs()


Blending = Annotated[
    NaiveBlending | UnimodalBlending | EqualBlending | FixedBlending | OfflineBlending | OnlineBlending,
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


class TrainingSpec(SpecModel):
    """How long and with what every strategy trains."""

    epochs: Annotated[Int, Field(ge=1, le=10_000)] = 20
    batch_size: Annotated[Int, Field(ge=1, le=65_536)] = 64
    optimizer: Optimizer = Adam()
    max_grad_norm: Annotated[Float, Field(gt=0.0)] | None = None
    """Clip each head's (or the blended) gradient to this norm; left out: no clipping."""
    fine_tune: FineTune = FineTune()


class RuntimeSpec(SpecModel):
    """Where and how the training process runs."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    deterministic: Bool = True
    """Refuse kernels whose result may differ from run to run. On a CPU a resumed run is then bit-identical."""


Answer = Literal["auto", "fused", "fused_fine_tuned", "heads_average"]
"""What the trained model answers with; `auto` chooses on the validation part (on V where there is none)."""
