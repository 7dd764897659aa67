"""What the service answers about experiments, typed; see `types`.

Scores are of the test part; higher is better. Intervals are Student's 95 % intervals over seeds; `None` below two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gblend_client.errors import ProblemItem
from gblend_client.types import TERMINAL_STATUSES, _Object


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentJob(_Object):
    """One job of an experiment: an ordinary job."""

    strategy: str
    seed: int
    job_id: str
    status: str
    percent: float | None = None
    """How far its training is; `None` where it does not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment(_Object):
    """Strategies x seeds of one job, as they stand."""

    id: str
    status: str
    name: str | None = None
    project: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many jobs have each status."""
    jobs: tuple[ExperimentJob, ...] = ()
    """In the order of submission; left out of lists."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """The experiment with every default written out."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[ProblemItem, ...] = ()
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether all jobs have ended. The server's word counts: it may know states that we do not."""
        said = self.raw.get("is_terminal")
        return said if isinstance(said, bool) else self.status in TERMINAL_STATUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentValidation(_Object):
    """What a submission of an experiment would say; nothing was created."""

    valid: bool
    errors: tuple[ProblemItem, ...] = ()
    warnings: tuple[ProblemItem, ...] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)
    """The experiment with every default written out."""
    jobs: int | None = None
    """How many jobs it would have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread(_Object):
    """A number over seeds."""

    n: int
    mean: float | None = None
    sd: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedScore(_Object):
    """The test metric of one job's answer."""

    seed: int
    score: float
    job_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySummary(_Object):
    """One row of a comparison."""

    strategy: str
    test: Spread
    """The test metric of what the model answers with."""
    planned: int = 0
    done: int = 0
    """How many of the planned seeds succeeded so far."""
    scores: tuple[SeedScore, ...] = ()
    heads: Mapping[str, Spread] = field(default_factory=dict)
    """The test metric of each head, whether it answers or not."""
    answers: Mapping[str, int] = field(default_factory=dict)
    """How often each head was chosen to answer."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Head -> weight of the last super-epoch, on average."""
    super_epochs: tuple[Mapping[str, Any], ...] = ()
    """`{super_epoch, n, weights}` on average, where weights are estimated."""
    cost: Mapping[str, Any] | None = None
    """`{seconds, samples, seconds_by_phase}` of a run, on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(_Object):
    """`strategy` minus `minus`, over the seeds that both have."""

    strategy: str
    minus: str
    pairs: int
    mean: float | None = None
    se: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(_Object):
    """Everything that an experiment can say so far."""

    experiment_id: str
    status: str
    metric: str = "accuracy"
    reference: str | None = None
    best: str | None = None
    """The highest mean in hindsight: chosen on the test part."""
    strategies: tuple[StrategySummary, ...] = ()
    to_reference: tuple[Difference, ...] = ()
    to_best: tuple[Difference, ...] = ()
