"""What happens to a spec between parsing and the services: its data are looked at, and an experiment's strategies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pydantic import ValidationError

from api.schema_walk import pointer_of
from api.schemas.problem import ProblemError
from api.spec_errors import body_errors
from core.errors import DataError, Issue, SpecError
from core.spec import JobSpec
from core.spec.experiment import ExperimentSpec, Strategy, is_shorthand
from core.spec.registration import DatasetRegistration

if TYPE_CHECKING:
    from core.data.inference import Inferred
    from core.data.inspection import Inspection

# `core.data` brings NumPy, Arrow and the decoders: half a second, which the first answers need not wait for. It is
# imported inside the functions; `warm_up` does it early, off the request path.


def find_issues(
    spec: JobSpec, roots: Mapping[str, Path], *, at: str = "#", allow_hub: Sequence[str] = ()
) -> tuple[Issue, ...]:
    """Errors and warnings that headers and a bounded look at the files show; never raises for bad data.

    `at` points to the job spec within the request's body. `allow_hub`: models of a hub that may be named.
    """
    from core.data.validation import check

    return tuple(
        check(
            spec.dataset,
            spec.holdout,
            roots,
            seed=spec.seed,
            pointer=f"{at}/dataset",
            holdout_pointer=f"{at}/holdout",
            class_weights=spec.training.loss.class_weights,
            weights_pointer=f"{at}/training/loss/class_weights",
            allow_hub=allow_hub,
        )
    )


def inspect_data(registration: DatasetRegistration, roots: Mapping[str, Path], allow_hub: Sequence[str]) -> Inspection:
    """A close look at a data set, bounded in time; never raises for bad data."""
    from core.data.inspection import inspect

    return inspect(registration.dataset, registration.holdout, roots, seed=registration.seed, allow_hub=allow_hub)


def infer_data(uri: str, roots: Mapping[str, Path], *, target: str | None) -> Inferred:
    """A guess at the spec of what lies at a URI. Raises `SpecError` with all issues where there is nothing to read."""
    from core.data.inference import infer

    try:
        return infer(uri, roots, target=target)
    except (SpecError, DataError) as error:
        raise SpecError(f"nothing can be guessed: {error.detail}", hint=error.hint, issues=error.issues) from None


def find_experiment_issues(
    spec: ExperimentSpec,
    roots: Mapping[str, Path],
    *,
    served: Mapping[str, Sequence[int]],
    allow_hub: Sequence[str] = (),
) -> tuple[Issue, ...]:
    """What is wrong with the strategies' changes, what is wrong or odd with the data, and queues that nobody serves.

    All jobs share the data, so these are looked at once, with the first seed.
    """
    refused = [
        issue
        for place, (strategy, job) in enumerate(zip(spec.strategies, spec.patched(), strict=True))
        if isinstance(job, ValidationError)
        for issue in _strategy_issues(place, strategy, job)
    ]
    job = spec.job.model_copy(update={"seed": spec.seeds[0]})
    issues = (*refused, *find_issues(job, roots, at="#/job", allow_hub=allow_hub))
    if any(issue.severity == "error" for issue in issues):  # it will not wait for a worker
        return issues
    return (*issues, *find_queue_issues(job, served, at="#/job"))


def find_queue_issues(spec: JobSpec, served: Mapping[str, Sequence[int]], *, at: str = "#") -> tuple[Issue, ...]:
    """A warning where no living worker could take the job: it would wait, nobody knows how long.

    `served`: the queues that one listens on -> the slots that each of them has; `at` points to the job spec within the
    request's body.
    """
    queue, devices, nodes = spec.scheduling.queue, spec.scheduling.devices, spec.scheduling.nodes
    most = max(served.get(queue, ()), default=0)
    places = sum(slots // devices for slots in served.get(queue, ()))
    if places >= nodes:
        return ()
    if most >= devices:
        return (
            Issue(
                code="scheduling.too_few_nodes",
                detail=f"the job asks for {nodes} places of {devices} slots at once; the workers that are alive and "
                f"listen on the queue {queue!r} have room for {places} of these; the job waits until they have more",
                pointer=f"{at}/scheduling/nodes",
                hint=f"ask for {places}, or start more workers: gblend-server worker --queue {queue}",
                severity="warning",
            ),
        )
    if queue in served:
        return (
            Issue(
                code="scheduling.too_few_devices",
                detail=f"the job asks for {devices} devices of one worker; of the workers that are alive and listen on "
                f"the queue {queue!r} none has more than {most}; the job waits until one does",
                pointer=f"{at}/scheduling/devices",
                hint=f"ask for {most}, or start a worker with {devices} slots (GPUs, or else CPU cores)",
                severity="warning",
            ),
        )
    others = f"; queues with workers now: {', '.join(sorted(served))}" if served else ""
    return (
        Issue(
            code="scheduling.no_worker",
            detail=f"no worker that is alive listens on the queue {queue!r}; the job waits until one does",
            pointer=f"{at}/scheduling/queue",
            hint=f"start one: gblend-server worker --queue {queue}{others}",
            severity="warning",
        ),
    )


def _strategy_issues(place: int, strategy: Strategy, error: ValidationError) -> list[Issue]:
    """The errors of a job as it would be after the changes, each with a pointer to the change that brought it about."""
    changes = strategy.changes.model_dump(mode="json")
    at = pointer_of(("strategies", place))
    issues = []
    for found in body_errors({**each, "loc": ("body", *each["loc"])} for each in error.errors()):
        where = at if is_shorthand(strategy) else f"{at}/changes{_within(found, changes)}"
        detail = f"strategy {strategy.name!r}: {found.detail}"
        issues.append(Issue(code=found.code, detail=detail, pointer=where, hint=found.hint))
    return issues


def _within(error: ProblemError, changes: Mapping[str, Any]) -> str:
    """As much of the error's pointer into the job as is a way through the changes; a missing field may follow."""
    kept = ""
    node: Any = changes
    for part in (error.pointer or "#").split("/")[1:]:
        if isinstance(node, Mapping):
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if name not in node:
                return f"{kept}/{part}" if kept and error.code == "spec.missing_field" else kept
            node = node[name]
        kept += f"/{part}"  # a list is replaced as a whole: it is the client's own down to the last item
    return kept


def refuse_errors(issues: Sequence[Issue], what: str) -> None:
    """Raises `SpecError` with all issues where one of them is an error; `what` says whose they are: "job spec and its
    data"."""
    errors = sum(issue.severity == "error" for issue in issues)
    if errors:
        found = "1 problem" if errors == 1 else f"{errors} problems"
        raise SpecError(f"the {what} have {found}; nothing was created", issues=tuple(issues))


def warm_up() -> None:
    """Import what `find_issues` and `inspect_data` need."""
    import core.data.inspection  # noqa: F401


def digest(spec: JobSpec | ExperimentSpec) -> str:
    """Identifies a request's body, whatever its blanks and the order of its keys: `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(spec.canonical()).hexdigest()}"
