"""JobSpec: the body of `POST /v1/jobs`, and its canonical form and digest."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from core.spec.base import FUSED, Seed, SpecModel
from core.spec.data import DatasetOrId, Holdout
from core.spec.recipe import (
    Answer,
    Blending,
    DiagnosticsSpec,
    EnsembleBlending,
    ExactEstimator,
    FixedBlending,
    ModelSpec,
    OfflineBlending,
    OgmGeBlending,
    OnlineBlending,
    RuntimeSpec,
    TrainingSpec,
    UnimodalBlending,
)
from core.spec.scheduling import Scheduling

MetadataKey = Annotated[str, Field(min_length=1, max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]
_DECIDES_NOTHING = ("name", "metadata", "scheduling")
"""What two jobs may differ in and still give the same bits."""


class JobSpec(SpecModel):
    """One training job: a data set, a strategy, and everything that decides the numbers that come out.

    Two jobs with the same spec, the same data and a CPU give the same bits.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] = Field(default_factory=dict)
    """Your own labels; gblend stores them and reads nothing into them."""
    seed: Seed = 0
    dataset: DatasetOrId
    """A data set: source, target, modalities, split, on_bad_sample; or the id of one that was registered."""
    holdout: Holdout = Holdout()
    """Left out with the id of a registered data set: what was registered with it."""
    model: ModelSpec = ModelSpec()
    blending: Blending = OnlineBlending()
    training: TrainingSpec = TrainingSpec()
    answer: Answer = "auto"
    diagnostics: DiagnosticsSpec = DiagnosticsSpec()
    runtime: RuntimeSpec = RuntimeSpec()
    scheduling: Scheduling = Scheduling()

    @property
    def modality_names(self) -> tuple[str, ...]:
        """Sorted, so that the order in which they were written never changes a result."""
        return tuple(sorted(modality.name for modality in self.dataset.modalities))

    @property
    def head_names(self) -> tuple[str, ...]:
        """The M uni-modal heads, sorted, then the fused one."""
        return (*self.modality_names, FUSED)

    @model_validator(mode="after")
    def _blending_names_heads(self) -> Self:
        if isinstance(self.blending, UnimodalBlending) and self.blending.modality not in self.modality_names:
            raise ValueError(
                f"blending.modality {self.blending.modality!r} is not a modality; there are {list(self.modality_names)}"
            )
        if isinstance(self.blending, FixedBlending):
            unknown = sorted(set(self.blending.weights) - set(self.head_names))
            if unknown:
                raise ValueError(f"blending.weights names unknown heads {unknown}; there are {list(self.head_names)}")
        return self

    @model_validator(mode="after")
    def _floors_name_heads(self) -> Self:
        if isinstance(self.blending, OfflineBlending | OnlineBlending) and isinstance(self.blending.floor, dict):
            unknown = sorted(set(self.blending.floor) - set(self.head_names))
            if unknown:
                raise ValueError(f"blending.floor names unknown heads {unknown}; there are {list(self.head_names)}")
        return self

    @model_validator(mode="after")
    def _warm_up_ends(self) -> Self:
        if isinstance(self.blending, OnlineBlending) and self.blending.warm_up >= self.training.epochs:
            raise ValueError(
                f"blending.warm_up {self.blending.warm_up} leaves no epoch of {self.training.epochs} to estimate for"
            )
        return self

    @model_validator(mode="after")
    def _loss_fits_target(self) -> Self:
        task, loss = self.dataset.target.type, self.training.loss
        if loss.class_weights != "none" and task not in ("multiclass", "binary"):
            raise ValueError(f"training.loss.class_weights needs exclusive classes; the target is of the type {task!r}")
        if loss.label_smoothing > 0.0 and task == "regression":
            raise ValueError("training.loss.label_smoothing needs classes; the target is of the type 'regression'")
        return self

    @model_validator(mode="after")
    def _recipe_fits_strategy(self) -> Self:
        strategy, training = self.blending.strategy, self.training
        if isinstance(self.blending, OgmGeBlending) and self.model.fusion != "concat":
            raise ValueError(
                f"model.fusion {self.model.fusion!r} mixes the modalities; 'ogm_ge' compares their own shares of the "
                "logits, so it needs 'concat'"
            )
        if isinstance(self.blending, OgmGeBlending) and self.model.hidden:
            raise ValueError(
                "model.hidden must be 0 for 'ogm_ge': behind a hidden layer no share of the logits is a modality's own"
            )
        if training.pretrain_epochs and isinstance(self.blending, UnimodalBlending | EnsembleBlending):
            raise ValueError(
                f"training.pretrain_epochs means nothing for {strategy!r}, which trains modalities alone anyhow; raise "
                "training.epochs instead"
            )
        return self

    @model_validator(mode="after")
    def _estimates_can_be_spread(self) -> Self:
        if not self.scheduling.spread_estimates:
            return self
        if not (isinstance(self.blending, OfflineBlending) and isinstance(self.blending.estimator, ExactEstimator)):
            raise ValueError(
                "scheduling.spread_estimates is for the strategy 'offline' with the estimator 'exact', whose heads "
                "train alone from the initial model; choose these, or leave it out"
            )
        if self.scheduling.devices > 1 or self.scheduling.nodes > 1:
            raise ValueError(
                "scheduling.spread_estimates trains every head in one process; set scheduling.devices and nodes to 1, "
                "or leave spread_estimates out"
            )
        if self.training.pretrain_epochs:
            raise ValueError(
                "scheduling.spread_estimates needs heads that start from the initial model, which "
                "training.pretrain_epochs would change first; set that to 0, or leave spread_estimates out"
            )
        return self

    def resolved(self) -> dict[str, Any]:
        """The spec as JSON with every default written out."""
        return self.model_dump(mode="json")

    def canonical(self) -> bytes:
        """Canonical JSON: every default written out, keys sorted, no blanks. Equal specs give equal bytes."""
        return canonical_json(self.resolved())

    def fingerprint(self) -> str:
        """`sha256:<hex>` of what decides the result: the canonical spec without `name`, `metadata` and `scheduling`."""
        raw = {key: value for key, value in self.resolved().items() if key not in _DECIDES_NOTHING}
        return f"sha256:{hashlib.sha256(canonical_json(raw)).hexdigest()}"


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no blanks, UTF-8; NaN and infinity are refused (`ValueError`)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
