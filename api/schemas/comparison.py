"""What an experiment says about its strategies. Scores are of the test part; higher is better."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from api.schemas.base import WireModel
from core.jobs.comparison import Comparison
from core.jobs.experiment_views import ExperimentStatus, ExperimentView


class _FromView(WireModel):
    model_config = ConfigDict(from_attributes=True)


class SpreadOut(_FromView):
    """A number over seeds. With fewer than two there is no spread: `null`."""

    n: int
    """How many seeds."""
    mean: float | None
    sd: float | None
    """Standard deviation over the seeds, with n - 1."""
    ci_low: float | None
    ci_high: float | None
    """95 % interval of the mean (Student's t, n - 1 degrees of freedom)."""


class SeedScoreOut(_FromView):
    """One point of the comparison."""

    seed: int
    job_id: str
    score: float


class MeanCostOut(_FromView):
    """What a run of the strategy cost, on average over the seeds that are done."""

    seconds: float
    """In all phases together, on whatever machines they ran."""
    samples: float
    """Passes of one sample through one head's network: unlike seconds the same on any machine."""
    seconds_by_phase: dict[str, float]


class MeanWeightsOut(_FromView):
    """The weights of one super-epoch, on average."""

    super_epoch: int
    """0-based."""
    n: int
    """Over how many seeds."""
    weights: dict[str, float]
    """Head -> weight."""


class StrategySummaryOut(_FromView):
    """One row of the comparison."""

    strategy: str
    planned: int
    """How many seeds it has."""
    done: int
    """How many of them succeeded so far."""
    test: SpreadOut
    """The test metric of what the model answers with."""
    scores: list[SeedScoreOut]
    heads: dict[str, SpreadOut]
    """The test metric of each head, whether it answers or not."""
    answers: dict[str, int]
    """How often each head was chosen to answer."""
    weights: dict[str, float]
    """Head -> weight of the last super-epoch, on average."""
    super_epochs: list[MeanWeightsOut]
    """The estimated weights over time; empty for a strategy that estimates nothing."""
    cost: MeanCostOut | None
    """`null` until one seed is done."""


class DifferenceOut(_FromView):
    """`strategy` minus `minus`, in pairs: over the seeds that both have."""

    strategy: str
    minus: str
    pairs: int
    mean: float | None
    se: float | None
    """Standard error of the mean difference; `null` with fewer than two pairs."""
    ci_low: float | None
    ci_high: float | None
    """95 % interval of the mean difference (Student's t, pairs - 1 degrees of freedom)."""


class ComparisonOut(WireModel):
    """Everything that an experiment can say so far; it grows while jobs run."""

    object: Literal["experiment.comparison"] = "experiment.comparison"
    experiment_id: str
    status: ExperimentStatus
    is_terminal: bool
    metric: str
    """What is compared, on the test part; higher is better."""
    reference: str
    best: str | None
    """The strategy with the highest mean in hindsight: chosen on the test part, so its own number flatters it."""
    strategies: list[StrategySummaryOut]
    to_reference: list[DifferenceOut]
    """Every other strategy minus the reference."""
    to_best: list[DifferenceOut]
    """Every other strategy minus the best."""

    @classmethod
    def of(cls, experiment: ExperimentView, found: Comparison) -> ComparisonOut:
        """The wire form of a comparison."""
        return cls(
            experiment_id=experiment.id,
            status=experiment.status,
            is_terminal=experiment.status.is_terminal,
            metric=found.metric,
            reference=found.reference,
            best=found.best,
            strategies=[StrategySummaryOut.model_validate(row) for row in found.strategies],
            to_reference=[DifferenceOut.model_validate(row) for row in found.to_reference],
            to_best=[DifferenceOut.model_validate(row) for row in found.to_best],
        )
