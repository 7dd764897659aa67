"""What a watcher knows of a job: its events folded into one picture. Pure; `tables` draws it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gblend_client._decode import decode
from gblend_client.errors import ProtocolError
from gblend_client.types import Event, HeadEstimate, Job, Measurement


@dataclass(slots=True)
class Head:
    """One row of the table."""

    name: str
    estimate: HeadEstimate | None = None
    latest: dict[str, Measurement] = field(default_factory=dict)
    """By split: the measurement that came last."""


@dataclass(slots=True)
class WatchState:
    """Grows by `apply` (an event) and `update` (the job as it stands)."""

    job_id: str
    status: str = "queued"
    phase: str | None = None
    seq: int = 0
    heads: dict[str, Head] = field(default_factory=dict)
    super_epoch: int | None = None
    super_epochs: int | None = None
    policy: str | None = None
    degenerate: str | None = None
    """Why the latest estimate decided nothing."""
    epoch: int | None = None
    epochs: int | None = None
    percent: float | None = None
    eta_seconds: float | None = None
    detail: str | None = None
    """What is being done where no step is counted."""
    queue_position: int | None = None
    is_reachable: bool = True
    """Whether the service answered lately; the watching goes on anyhow."""
    metric: str = "accuracy"
    """The task's primary metric."""
    test: tuple[Measurement, ...] = ()
    answer: str | None = None
    answer_reason: str | None = None

    def update(self, job: Job) -> None:
        """Takes over what only the job itself tells: how far it is."""
        self.is_reachable = True
        self.status, self.phase, self.queue_position = job.status, job.phase, job.queue_position
        if job.progress is not None:
            self.percent, self.eta_seconds = job.progress.percent, job.progress.eta_seconds
            self.detail = job.progress.detail
            self.epoch = job.progress.epoch if job.progress.epoch is not None else self.epoch
            self.epochs = job.progress.totals.epochs or self.epochs
        if job.result is not None:
            self.test, self.answer = job.result.test, job.result.answer
            self.metric = job.result.metric or self.metric
            self.answer_reason = job.result.answer_reason

    def apply(self, event: Event) -> None:
        """One more event. Types that we do not know change nothing but the position."""
        self.seq, self.is_reachable = event.seq, True
        data = event.data
        match event.type:
            case "job.status":
                self.status = _text(data.get("status")) or self.status
            case "run.started":
                self.super_epochs = _whole(data.get("super_epochs"))
                self.metric = _text(data.get("metric")) or self.metric
                for name in _list(data.get("heads")):
                    self._head(str(name))
            case "phase.started":
                self.phase = _text(data.get("phase"))
                self.super_epoch = _whole(data.get("super_epoch"), self.super_epoch)
            case "super_epoch.weights":
                self._weights(data)
            case "epoch.completed":
                self.epoch = _whole(data.get("epoch"), self.epoch)
                self._measured(_measurements(data.get("measurements")))
            case "fine_tune.epoch" | "pretrain.epoch":
                self._measured(_measurements(data.get("measurements")))
            case "run.completed":
                self.test = tuple(_measurements(data.get("test")))
                self.answer, self.answer_reason = _text(data.get("answer")), _text(data.get("answer_reason"))

    def _weights(self, data: Mapping[str, Any]) -> None:
        self.super_epoch = _whole(data.get("super_epoch"), self.super_epoch)
        self.policy = _text(data.get("policy"))
        self.degenerate = (
            (_text(data.get("reason")) or "the estimate decided nothing") if data.get("degenerate") else None
        )
        for raw in _list(data.get("heads")):
            estimate = _lenient(HeadEstimate, raw)
            if estimate is not None:
                self._head(estimate.head).estimate = estimate

    def _measured(self, found: Iterable[Measurement]) -> None:
        for measurement in found:
            self._head(measurement.head).latest[measurement.split] = measurement

    def _head(self, name: str) -> Head:
        return self.heads.setdefault(name, Head(name))


def _measurements(raw: Any) -> list[Measurement]:
    return [found for item in _list(raw) if (found := _lenient(Measurement, item)) is not None]


def _lenient(cls: type[Any], raw: Any) -> Any:
    """A picture may lack a cell: an item of a shape that we do not know is left out, not an error."""
    try:
        return decode(cls, raw)
    except ProtocolError:
        return None


def _list(raw: Any) -> list[Any]:
    return raw if isinstance(raw, list) else []


def _text(raw: Any) -> str | None:
    return raw if isinstance(raw, str) else None


def _whole(raw: Any, default: int | None = None) -> int | None:
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else default
