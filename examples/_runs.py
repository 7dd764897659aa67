"""Strategies x seeds of one job spec: submitted over HTTP, followed to their end, side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gblend_client import Event, Gblend, GblendError, Job, SuperEpoch
from gblend_client.cli.state import WatchState

from examples._interrupts import Interrupts

JOINT = ("naive", "equal", "offline", "online")
"""The strategies that train all modalities together, in the order of the tables."""
ESTIMATED = ("offline", "online")
"""Those whose weights are G-Blend's."""
UNIMODAL = "unimodal:"
"""Prefix of the strategies that train one modality alone: `unimodal:audio`."""
FUSED = "fused"
STREAMS = 64
"""Event streams open at once; the other runs wait in the service's queue anyway."""


@dataclass(slots=True)
class Run:
    """One job of a comparison, and what is known of it so far."""

    strategy: str
    seed: int
    spec: Mapping[str, Any]
    state: WatchState = field(default_factory=lambda: WatchState(job_id=""))
    job: Job | None = None
    super_epochs: tuple[SuperEpoch, ...] = ()
    problem: str | None = None
    """Why there is no result: the submission was refused, the job failed, the service went away."""

    @property
    def succeeded(self) -> bool:
        """Whether the job ended well."""
        return self.job is not None and self.job.status == "succeeded"

    @property
    def accuracy(self) -> float | None:
        """Test accuracy of what the model answers with."""
        return self.job.result.test_accuracy if self.job is not None and self.job.result is not None else None

    @property
    def head_accuracy(self) -> dict[str, float]:
        """Test accuracy of every head, of the fused one before and after its fine-tune, and of the heads' average."""
        if self.job is None or self.job.result is None:
            return {}
        return {row.head: row.accuracy for row in self.job.result.test if row.accuracy is not None}

    @property
    def seconds(self) -> float | None:
        """Wall time of the job on its worker."""
        if self.job is None or self.job.started_at is None or self.job.finished_at is None:
            return None
        return (self.job.finished_at - self.job.started_at).total_seconds()


def modalities(spec: Mapping[str, Any]) -> list[str]:
    """The names of the spec's modalities, sorted as the service sorts them."""
    return sorted(modality["name"] for modality in spec["dataset"]["modalities"])


def all_strategies(spec: Mapping[str, Any]) -> list[str]:
    """Every modality alone, then the joint strategies."""
    return [*(UNIMODAL + name for name in modalities(spec)), *JOINT]


def variant(spec: Mapping[str, Any], strategy: str, seed: int) -> dict[str, Any]:
    """The spec with another strategy and seed; what its own `blending` says of estimates is kept where it applies."""
    given = spec.get("blending", {})
    of_estimates = ("policy", "estimator", "floor")
    over_time = ("super_epochs", "smoothing", "warm_up")
    kept = {"offline": of_estimates, "online": of_estimates + over_time}.get(strategy, ())
    if strategy.startswith(UNIMODAL):
        blending: dict[str, Any] = {"strategy": "unimodal", "modality": strategy.removeprefix(UNIMODAL)}
    else:
        blending = {"strategy": strategy, **{key: given[key] for key in kept if key in given}}
    name = f"{spec.get('name', 'comparison')} {strategy} seed {seed}"
    return {**spec, "name": name, "seed": seed, "blending": blending}


def plan(spec: Mapping[str, Any], strategies: Iterable[str], seeds: Iterable[int]) -> list[Run]:
    """A run per strategy and seed, in the order of the tables."""
    chosen = list(strategies)
    return [Run(strategy, seed, variant(spec, strategy, seed)) for seed in seeds for strategy in chosen]


def submit_all(gblend: Gblend, runs: Sequence[Run], interrupts: Interrupts) -> None:
    """Submit every run, the longest first, so that no worker is left alone with a long one at the end."""
    cost = {"online": 0, "offline": 0, "equal": 1, "naive": 1}
    for run in sorted(runs, key=lambda run: cost.get(run.strategy, 2)):
        interrupts.check()
        try:
            job = gblend.jobs.submit(run.spec)
        except GblendError as error:
            run.problem = explain(error)
        else:
            run.state.job_id = job.id
            run.state.update(job)


def follow_all(
    gblend: Gblend,
    runs: Sequence[Run],
    interrupts: Interrupts,
    *,
    on_event: Callable[[Run, Event], None] = lambda run, event: None,
) -> None:
    """Follow the submitted runs to their end, each in a thread; `on_event` is called for one event at a time.

    After `Interrupted` the threads may still read from `gblend`: do not close it then. They end with the program.
    """
    lock = threading.Lock()
    streams = threading.BoundedSemaphore(STREAMS)

    def follow(run: Run) -> None:
        try:
            with streams:
                for event in gblend.jobs.watch(run.state.job_id):
                    if interrupts.exit_status:
                        return
                    with lock:
                        run.state.apply(event)
                        on_event(run, event)
            run.super_epochs = gblend.jobs.super_epochs(run.state.job_id)
            run.job = gblend.jobs.get(run.state.job_id)
            run.state.update(run.job)
            if not run.succeeded:
                run.problem = f"{run.job.status}: {run.job.error.message if run.job.error else run.job.status_reason}"
        except GblendError as error:
            run.problem = explain(error)

    submitted = [run for run in runs if run.state.job_id]
    threads = [threading.Thread(target=follow, args=(run,), daemon=True) for run in submitted]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        interrupts.pause(0.1)


def explain(error: GblendError) -> str:
    """An error of the client on one line, with the pointers of a refused spec."""
    items = [f"{item.pointer}: {item.detail}" for item in getattr(error, "errors", ())]
    return "; ".join([str(error), *items])
