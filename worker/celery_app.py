"""The entry point of a worker: `celery -A worker.celery_app worker`."""

from __future__ import annotations

from core.settings import Settings
from worker.process import WorkerProcess

app = WorkerProcess(Settings()).app
