"""What must be true of a job's log, whatever happened to its workers."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from sqlalchemy import text

from core.events import JournalEntry
from core.jobs.service import JobService
from core.persistence import Database

SERVICE_EVENTS = {"job.created", "job.status", "estimate.interrupted"}


def problems(database: Database, job_id: str, expected: list[JournalEntry]) -> list[str]:
    """Everything that is lost, doubled or out of order in the job's log; empty when all is well."""
    with database.read() as session:
        found = session.execute(
            text("SELECT seq, type, data FROM event WHERE job_id = :job ORDER BY seq"), {"job": job_id}
        ).all()
    said = []
    if [row.seq for row in found] != list(range(1, len(found) + 1)):
        said.append(f"seq has gaps or repeats: {[row.seq for row in found]}")
    training = [(row.type, _json(row.data)) for row in found if row.type not in SERVICE_EVENTS]
    wanted = [(entry.event.type, json.loads(entry.event.model_dump_json(exclude={"type"}))) for entry in expected]
    doubled = {key: count for key, count in Counter(json.dumps(item) for item in training).items() if count > 1}
    if doubled:
        said.append(f"doubled events: {sorted(doubled)[:3]}")
    if training != wanted:
        said.append(f"{len(training)} training events, not the {len(wanted)} expected in their order")
    return said


def history(database: Database, job_id: str) -> tuple[Any, ...]:
    """Super-epochs and metrics without what differs between two runs of one spec: ids, numbers of the log, times."""
    jobs = JobService(database)
    super_epochs = [(s.super_epoch, s.weights, s.heads, s.alternatives) for s in jobs.super_epochs(job_id).data]
    metrics = [(m.scope, m.epoch, m.head, m.split, m.metric, m.value, m.se) for m in jobs.metrics(job_id).data]
    return super_epochs, metrics


def _json(raw: Any) -> Any:
    return json.loads(raw) if isinstance(raw, str) else raw
