"""The wake-up `gblend.run_unit`: somebody thinks that this unit is ready."""

from __future__ import annotations

from collections.abc import Callable

from celery import Celery

from core.jobs.broker import RUN_UNIT


def register(app: Celery, run: Callable[[str], None]) -> None:
    """Let `run` handle the task. The message may be lost, doubled or late; `run` finds out from the table."""

    @app.task(name=RUN_UNIT, shared=False)
    def run_unit(unit_id: str) -> None:
        run(unit_id)
