"""What lives as long as the process: built when it starts, undone when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.health import Readiness
from api.queue import UnitQueue
from api.streaming.hub import StreamHub
from api.submission import warm_up
from core.settings import Settings
from core.version import version

if TYPE_CHECKING:
    from api.metrics import Metrics
    from core.artifacts import ArtifactStore
    from core.data.previews.previewer import Previewer
    from core.jobs.checkpoints import CheckpointService
    from core.jobs.datasets import DatasetService
    from core.jobs.experiments import ExperimentService
    from core.jobs.lifecycle import Lifecycle
    from core.jobs.logs import LogReader
    from core.jobs.service import JobService
    from core.jobs.workers import WorkerService


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What routes work with."""

    settings: Settings
    jobs: JobService
    lifecycle: Lifecycle
    experiments: ExperimentService
    datasets: DatasetService
    previewer: Previewer
    workers: WorkerService
    artifacts: ArtifactStore
    checkpoints: CheckpointService
    readiness: Readiness
    streams: StreamHub
    logs: LogReader
    metrics: Metrics


def start(settings: Settings, stack: ExitStack) -> Services:
    """Build everything and start two threads, the listener and the reconciler; `stack` undoes all of it, last first."""
    # Not above: SQLAlchemy takes 0.3 s, and who only wants the application's routes (its OpenAPI document) needs none.
    from api.metrics import Metrics
    from core.artifacts import ArtifactStore
    from core.data.previews.previewer import Previewer
    from core.data.remote.mirror import Mirror
    from core.jobs.checkpoints import CheckpointService
    from core.jobs.datasets import DatasetService
    from core.jobs.experiments import ExperimentService
    from core.jobs.figures import FigureService
    from core.jobs.housekeeping import Housekeeper
    from core.jobs.lifecycle import Lifecycle
    from core.jobs.logs import LogReader
    from core.jobs.reconcile import Reconciler
    from core.jobs.retention import Retention
    from core.jobs.service import JobService
    from core.jobs.submission import WakeUps
    from core.jobs.units import UnitService
    from core.jobs.workers import WorkerService
    from core.persistence import Database
    from core.persistence.notify import Notifier

    database = Database(settings.database_url, pool_size=settings.database.pool_size)
    stack.callback(database.close)
    queue = UnitQueue(settings)
    stack.callback(queue.close)
    notifier = Notifier(settings.database_url)
    notifier.start()
    stack.callback(notifier.stop)
    reconciler = Reconciler(UnitService(database, settings.engine), queue.send, settings.engine)
    reconciler.start()
    stack.callback(reconciler.stop)
    artifacts = ArtifactStore(settings.artifacts_url)
    retention = Retention(database, artifacts, retention_days=settings.engine.retention_days)
    chores: list[Callable[[], object]] = [retention.sweep]
    if settings.roots.remote:
        chores.append(lambda: Mirror(settings.mirror_dir).shrink(settings.roots.mirror_bytes))
    housekeeper = Housekeeper(chores, settings.engine.sweep_seconds)
    housekeeper.start()
    stack.callback(housekeeper.stop)
    streams = StreamHub(notifier.subscribe, limit=settings.api.sse_max_streams)
    stack.callback(streams.close)
    previewer = Previewer(
        processes=settings.api.preview_processes,
        seconds=settings.api.preview_seconds,
        memory_bytes=settings.api.preview_memory_bytes,
    )
    stack.callback(previewer.close)
    warming = threading.Thread(target=_warm_up, args=(queue,), name="warm-up", daemon=True)
    warming.start()
    stack.callback(warming.join)
    jobs = JobService(
        database,
        max_attempts=settings.engine.max_attempts,
        max_pending=settings.engine.max_pending,
        announce=queue.send,
    )
    return Services(
        settings=settings,
        jobs=jobs,
        lifecycle=Lifecycle(database, jobs, WakeUps(database, queue.send)),
        experiments=ExperimentService(
            database,
            max_attempts=settings.engine.max_attempts,
            max_pending=settings.engine.max_pending,
            announce=queue.send,
        ),
        datasets=DatasetService(database),
        previewer=previewer,
        workers=WorkerService(database, settings.engine),
        artifacts=artifacts,
        checkpoints=CheckpointService(database),
        readiness=Readiness(database, queue),
        streams=streams,
        logs=LogReader(database),
        metrics=Metrics(version(), FigureService(database, settings.engine).read, lambda: streams.count),
    )


def _warm_up(queue: UnitQueue) -> None:
    """Load what the first submission needs, so that it does not wait for imports."""
    warm_up()
    queue.warm_up()
