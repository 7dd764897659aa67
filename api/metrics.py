"""`GET /metrics`: what Prometheus scrapes. What the engine does is read from the database, the same from every API
process; what a process does itself (requests, streams) is counted in it.

The registry is the application's own: importing this registers nothing anywhere.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from core.jobs.figures import EngineFigures

log = logging.getLogger(__name__)

FRESH_SECONDS = 1.0
"""Scrapes within this time share one look at the database."""
_LARGEST_QUEUES = 100
"""Queues with series of their own, the longest ones; the others are counted together as `other`."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

Family = GaugeMetricFamily | CounterMetricFamily


class Metrics:
    """The metrics of one API process. Thread-safe."""

    def __init__(self, version: str, figures: Callable[[], EngineFigures], streams: Callable[[], int]) -> None:
        """`figures` reads the database; `streams` says how many streams are open."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Histogram(
            "gblend_http_request_duration_seconds",
            "HTTP requests by route template; a stream counts when it is over",
            ("route", "method", "status"),
            registry=self._registry,
            buckets=_REQUEST_BUCKETS,
        )
        self._lag = Histogram(
            "gblend_event_lag_seconds",
            "From the moment of record to the delivery on a live stream; what a stream replays is left out",
            ("stream",),
            registry=self._registry,
            buckets=_LAG_BUCKETS,
        )
        for stream in ("events", "logs"):
            self._lag.labels(stream)
        self._registry.register(_Process(version, streams))
        self._registry.register(_Engine(figures))

    def request(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """A request was answered. `route`: the template that it matched, `None` where there was none."""
        labels = (route or "unmatched", method if method in _METHODS else "other", str(status))
        self._requests.labels(*labels).observe(seconds)

    def delivered(self, stream: str, created_at: float) -> None:
        """Something that was recorded at `created_at` (Unix time, the database's clock) went out on a live stream."""
        self._lag.labels(stream).observe(max(0.0, time.time() - created_at))

    def render(self, accept: str | None) -> tuple[bytes, str]:
        """The exposition and its content type, in the format that the `Accept` header asks for."""
        encode, content_type = choose_encoder(accept or "")
        return encode(self._registry), content_type


class _Process(Collector):
    """What this process knows by itself."""

    def __init__(self, version: str, streams: Callable[[], int]) -> None:
        self._version = version
        self._streams = streams

    def collect(self) -> Iterator[Family]:
        info = GaugeMetricFamily("gblend_build_info", "Always 1; the version is the label", labels=["version"])
        info.add_metric([self._version], 1)
        yield info
        yield GaugeMetricFamily("gblend_streams_open", "Streams that this process serves", value=self._streams())


class _Engine(Collector):
    """What is in the database."""

    def __init__(self, figures: Callable[[], EngineFigures]) -> None:
        self._figures = figures
        self._lock = threading.Lock()
        self._seen: EngineFigures | None = None
        self._fresh_until = 0.0

    def collect(self) -> Iterator[Family]:
        found = self._read()
        yield GaugeMetricFamily("gblend_database_up", "Whether the figures could be read", value=found is not None)
        if found is not None:
            yield from _families(found)

    def _read(self) -> EngineFigures | None:
        with self._lock:
            if time.monotonic() >= self._fresh_until:
                try:
                    self._seen = self._figures()
                except SQLAlchemyError as error:  # a scrape tells that it is away, and what the process knows itself
                    log.warning("metrics: the database does not answer", extra={"error": type(error).__name__})
                    self._seen = None
                self._fresh_until = time.monotonic() + FRESH_SECONDS
            return self._seen


def _families(found: EngineFigures) -> Iterator[Family]:
    shown = _shown_queues(found)
    units = GaugeMetricFamily("gblend_units", "Units of work that have not ended", labels=["queue", "state"])
    depths: dict[tuple[str, str], int] = {}
    for (queue, state), count in found.units.items():
        depths[shown(queue), state] = depths.get((shown(queue), state), 0) + count
    for labels, count in depths.items():
        units.add_metric(labels, count)
    yield units
    oldest = GaugeMetricFamily(
        "gblend_oldest_ready_unit_age_seconds", "How long the first ready unit of a queue has waited", labels=["queue"]
    )
    for queue, age in found.oldest_ready_seconds.items():
        if shown(queue) == queue:
            oldest.add_metric([queue], age)
    yield oldest
    listening = GaugeMetricFamily("gblend_queue_workers", "Living workers that listen on a queue", labels=["queue"])
    for queue, count in found.queue_workers.items():
        if shown(queue) == queue:
            listening.add_metric([queue], count)
    yield listening
    jobs = GaugeMetricFamily("gblend_jobs", "Jobs by status", labels=["status"])
    for status, count in found.jobs.items():
        jobs.add_metric([status], count)
    yield jobs
    yield GaugeMetricFamily("gblend_workers_alive", "Workers heard of within a lease", value=found.workers)
    yield GaugeMetricFamily("gblend_worker_slots", "Slots of living workers", value=found.slots)
    yield GaugeMetricFamily("gblend_worker_slots_busy", "Slots of living workers that units fill", value=found.busy)
    yield CounterMetricFamily("gblend_leases_expired", "Leases that ran out", value=found.leases_expired)
    failures = CounterMetricFamily("gblend_attempt_failures", "Attempts that ended badly", labels=["reason"])
    retries = CounterMetricFamily("gblend_retries", "Failed attempts that another one followed", labels=["reason"])
    for family, counted in ((failures, found.attempt_failures), (retries, found.retries)):
        for reason, count in counted.items():
            family.add_metric([reason], count)
        yield family


def _shown_queues(found: EngineFigures) -> Callable[[str], str]:
    """Queue -> its label: names come from clients, and a metric must not have any number of series."""
    sizes = dict.fromkeys(found.queue_workers, 0)
    for (queue, _), count in found.units.items():
        sizes[queue] += count
    largest = set(sorted(sizes, key=lambda queue: (-sizes[queue], queue))[:_LARGEST_QUEUES])
    return lambda queue: queue if queue in largest else "other"
