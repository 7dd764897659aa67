"""ExperimentSpec: the body of `POST /v1/experiments`. One job spec, strategies that change its recipe, seeds.

A strategy is a JSON merge patch (RFC 7396) of the job. What all strategies must share to be compared, data, splits and
seeds, it cannot change: for one seed every strategy trains on the same rows and is measured on the same V.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Self, get_args

from pydantic import (
    BeforeValidator,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from core.spec.base import Seed, SpecModel, misplaced
from core.spec.job import JobSpec, MetadataKey, MetadataValue, canonical_json
from core.spec.recipe import Blending

MAX_JOBS = 2000
UNIMODAL = "unimodal:"
"""Prefix of the strategies that train one modality alone: `unimodal:audio`."""
SHORTHANDS = tuple(
    branch.model_fields["strategy"].default
    for branch in get_args(get_args(Blending)[0])
    if not any(field.is_required() for field in branch.model_fields.values())
)
"""Blending strategies that need nothing but their name: `naive`, `equal`, `offline`, `online`, ..."""
SHARED = ("dataset", "holdout", "seed", "runtime")
"""What no strategy may change."""
_KINDS = ("strategy", "type")
"""Fields that say which kind an object of a union is."""
_MAX_NAME = 200

Patch = dict[str, JsonValue]


class Changes(SpecModel):
    """A JSON merge patch (RFC 7396) of the job's recipe; `null` takes a field back to its default.

    An object of another kind (`strategy` of the blending, `type` of an optimizer) replaces the job's as a whole: the
    fields of one kind mean nothing to another.
    """

    blending: Patch | None = None
    model: Patch | None = None
    training: Patch | None = None
    answer: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _shares_the_data(cls, raw: Any) -> Any:
        for name in SHARED if isinstance(raw, Mapping) else ():
            if name in raw:
                raise misplaced(
                    f"a strategy cannot change {name!r}: all strategies of an experiment share data, splits, seeds and "
                    "machine, so that they can be compared",
                    name,
                )
        return raw

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Only what was said: a `null` that nobody wrote would be a change."""
        whole: dict[str, Any] = handler(self)
        return {name: value for name, value in whole.items() if name in self.model_fields_set}


class Strategy(SpecModel):
    """A named way to train, as changes of the experiment's job."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    description: Annotated[str, Field(max_length=1000)] | None = None
    changes: Changes = Changes()


def _from_shorthand(raw: Any) -> Any:
    """`"online"` or `"unimodal:audio"` as the strategy of that name; anything else as it is."""
    if not isinstance(raw, str):
        return raw
    if raw.startswith(UNIMODAL):
        blending = {"strategy": "unimodal", "modality": raw.removeprefix(UNIMODAL)}
    elif raw in SHORTHANDS:
        blending = {"strategy": raw}
    else:
        known = [*SHORTHANDS, f"{UNIMODAL}NAME"]
        close = get_close_matches(raw, known, n=1)
        way_out = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
        message = f"no well-known strategy is called {raw!r}: {way_out} (any other is an object, `name` and `changes`)"
        raise PydanticCustomError("value_error", "{message}", {"message": message})
    return {"name": raw, "changes": {"blending": blending}}


def is_shorthand(strategy: Strategy) -> bool:
    """Whether a string would have said the same."""
    known = strategy.name in SHORTHANDS or strategy.name.startswith(UNIMODAL)
    return known and strategy == Strategy.model_validate(_from_shorthand(strategy.name))


StrategyOrName = Annotated[Strategy, BeforeValidator(_from_shorthand, json_schema_input_type=Strategy | str)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One job of an experiment."""

    strategy: str
    seed: int
    spec: JobSpec


class ExperimentSpec(SpecModel):
    """Strategies x seeds of one job, compared under one protocol."""

    name: Annotated[str, Field(min_length=1, max_length=_MAX_NAME)] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] = Field(default_factory=dict)
    """Your own labels; gblend stores them and reads nothing into them."""
    job: JobSpec
    """What all strategies have in common. Its own `seed` is replaced by each of `seeds`."""
    strategies: Annotated[tuple[StrategyOrName, ...], Field(min_length=1, max_length=64)]
    """What differs. A string is short for a well-known strategy: `naive`, `ensemble`, `equal`, `uncertainty`, `ogm_ge`,
    `mmpareto`, `offline`, `online`, `unimodal:NAME`."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=100)] = (0, 1, 2)
    """Every strategy is trained once with each. At most 2000 jobs in all."""

    @model_validator(mode="after")
    def _names_and_seeds_differ(self) -> Self:
        _all_differ(list(self.strategy_names), "strategies")
        _all_differ(list(self.seeds), "seeds")
        jobs = len(self.strategies) * len(self.seeds)
        if jobs > MAX_JOBS:
            raise misplaced(f"these are {jobs} jobs; an experiment has {MAX_JOBS} at most", "seeds")
        return self

    @property
    def strategy_names(self) -> tuple[str, ...]:
        """In the order given: that of every table."""
        return tuple(strategy.name for strategy in self.strategies)

    def patched(self) -> tuple[JobSpec | ValidationError, ...]:
        """For each strategy the job with its changes, or what is wrong with that."""
        return tuple(self._patched(strategy) for strategy in self.strategies)

    def variants(self) -> tuple[Variant, ...]:
        """Every job, seed by seed, so that strategies can be compared in pairs as early as possible.

        Raises pydantic's `ValidationError` where a strategy's changes do not give a job spec.
        """
        jobs = []
        for job in self.patched():
            if isinstance(job, ValidationError):
                raise job
            jobs.append(job)
        return tuple(
            Variant(
                strategy=strategy.name,
                seed=seed,
                spec=job.model_copy(update={"seed": seed, "name": self._job_name(strategy.name, seed)}),
            )
            for seed in self.seeds
            for strategy, job in zip(self.strategies, jobs, strict=True)
        )

    def resolved(self) -> dict[str, Any]:
        """The spec as JSON with every default written out and shorthands spelled out."""
        return self.model_dump(mode="json")

    def canonical(self) -> bytes:
        """Canonical JSON, as `JobSpec.canonical` has it. Equal specs give equal bytes."""
        return canonical_json(self.resolved())

    def _patched(self, strategy: Strategy) -> JobSpec | ValidationError:
        try:
            return JobSpec.model_validate(merge_patch(self.job.resolved(), strategy.changes.model_dump(mode="json")))
        except ValidationError as error:
            return error

    def _job_name(self, strategy: str, seed: int) -> str:
        which = f"{strategy}, seed {seed}"
        title = (self.name or self.job.name or "experiment")[: _MAX_NAME - len(which) - 2]
        return f"{title}: {which}"


def merge_patch(target: Any, patch: Any) -> Any:
    """`target` after the JSON merge `patch` (RFC 7396, section 2), except that another kind replaces the whole object.

    Neither argument is changed.
    """
    if not isinstance(patch, Mapping):
        return patch
    kept = isinstance(target, Mapping) and not _is_another_kind(target, patch)
    result: dict[str, Any] = dict(target) if kept else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def _is_another_kind(target: Mapping[str, Any], patch: Mapping[str, Any]) -> bool:
    said = [(target.get(kind), patch.get(kind)) for kind in _KINDS]
    return any(isinstance(old, str) and isinstance(new, str) and old != new for old, new in said)


def _all_differ(values: list[Any], field: str) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            second = [place for place, other in enumerate(values) if other == value][1]
            raise misplaced(f"{value!r} occurs {count} times; {field} must differ", field, second)
