"""The real worker with the scripted child: `celery -A tests.integration.engine.scripted_worker worker`."""

from __future__ import annotations

import sys

from core.settings import Settings
from worker.process import WorkerProcess

app = WorkerProcess(Settings(), command=(sys.executable, "-m", "tests.integration.engine.scripted_child")).app
