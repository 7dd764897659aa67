"""What must be true of a database and its folders once a run is over, whatever happened meanwhile.

Every function returns what is wrong, in words; an empty list is good.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text

from core.events import JournalEntry, RunCompleted, SuperEpochWeights
from core.jobs.recording import numbers_of
from core.persistence import Database
from tests.chaos.scripts import NOT_FINITE, Script, Scripts
from tests.integration.engine.checker import SERVICE_EVENTS

TERMINAL = ("succeeded", "failed", "cancelled")
_KEPT = {"child.log", "checkpoints", "events.jsonl"}

Row = Mapping[str, Any]
Streams = Mapping[str, Sequence[tuple[int, str, Any]]]
"""Job id -> `(seq, type, data)` as a client saw them."""


class Contents:
    """Everything in the database, read at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.jobs = self._rows("job", "id")
        self.units = self._grouped("unit", "id")
        self.events = self._grouped("event", "seq")
        self.super_epochs = self._grouped("super_epoch", "super_epoch")
        self.metrics = self._grouped("metric", "seq, position")
        self.artifacts = self._grouped("artifact", "name")
        self.log_chunks = self._grouped("log_chunk", "seq")

    def _rows(self, table: str, order: str) -> list[dict[str, Any]]:
        with self._database.read() as session:
            found = session.execute(text(f"SELECT * FROM {table} ORDER BY {order}")).mappings().all()
        return [{name: plain(value) for name, value in row.items()} for row in found]

    def _grouped(self, table: str, order: str) -> dict[str, list[dict[str, Any]]]:
        grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self._rows(table, f"job_id, {order}"):
            grouped[row["job_id"]].append(row)
        return grouped


def check(contents: Contents, scripts: Scripts, *, store: Path, runs: Path, streams: Streams) -> list[str]:
    """Everything below."""
    said = accepted(contents, scripts)
    for job in contents.jobs:
        script = scripts.by_key.get(job["idempotency_key"])
        told = [*log_of(contents, job), *states_of(contents, job), *artifacts_of(contents, job, store)]
        told += folders_of(job, runs)
        if script is not None:
            told += [*ending_of(job, script), *journal_of(contents, job, script)]
        if job["idempotency_key"] in scripts.diverging:
            told += divergence_of(contents, job)
        said += [f"{job['id']} ({script.kind if script else 'real'}): {problem}" for problem in told]
    said += equal(contents, scripts.real)
    said += delivered(contents, streams)
    return said


def accepted(contents: Contents, scripts: Scripts) -> list[str]:
    """Every key made one job, and every job has ended."""
    found = Counter(job["idempotency_key"] for job in contents.jobs)
    wanted = scripts.keys
    said = [f"submitted as {key} and lost" for key in wanted - set(found)]
    said += [f"nobody submitted {key}" for key in set(found) - wanted]
    said += [f"{key} made {count} jobs" for key, count in found.items() if count > 1]
    return said + [f"{job['id']} stalled: {job['status']}" for job in contents.jobs if job["status"] not in TERMINAL]


def log_of(contents: Contents, job: Row) -> list[str]:
    """Numbers without gaps, unique keys, the rows that follow from events."""
    events = contents.events[job["id"]]
    seqs = [event["seq"] for event in events]
    said = []
    if seqs != list(range(1, job["last_seq"] + 1)):
        said.append(f"seq has gaps or repeats, or does not end at {job['last_seq']}: {_short(seqs)}")
    doubled = _doubled(event["dedupe_key"] for event in events)
    if doubled:
        said.append(f"doubled events: {doubled}")
    moments = [str(event["created_at"]) for event in events]
    if moments != sorted(moments):
        said.append("events are not in the order of their times")
    chunks = [row["seq"] for row in contents.log_chunks[job["id"]]]
    if chunks != list(range(1, len(chunks) + 1)):
        said.append(f"log has gaps or repeats: {_short(chunks)}")
    return said


def states_of(contents: Contents, job: Row) -> list[str]:
    """Terminal states are last, the events tell the same, and units agree with their job."""
    said = []
    states = [change["status"] for change in job["transitions"]]
    if any(state in TERMINAL for state in states[:-1]):
        said.append(f"it went on after its end: {states}")
    told = [
        event["data"]["status"]
        for event in contents.events[job["id"]]
        if event["type"] in ("job.created", "job.status")
    ]
    if told != states:
        said.append(f"the events say {told}, the job {states}")
    if states[-1:] != [job["status"]]:
        said.append(f"it is {job['status']} after {states}")
    ended = job["status"] in TERMINAL
    if ended != (job["finished_at"] is not None):
        said.append(f"it is {job['status']} and finished at {job['finished_at']}")
    last = contents.events[job["id"]][-1:]
    if ended and (not last or last[0]["data"].get("status") != job["status"]):
        said.append("its last event is not its end")
    units = contents.units[job["id"]]
    if not units:
        said.append("it has no unit")
    wanted = {"succeeded": "done", "failed": "failed", "cancelled": "cancelled"}.get(job["status"])
    for unit in units:
        if wanted is not None and unit["state"] != wanted:
            said.append(f"its unit is {unit['state']}")
        if unit["state"] == "leased" and (unit["owner"] is None or unit["lease_until"] is None):
            said.append("its unit is leased to nobody")
        if unit["state"] in ("ready", "paused") and unit["owner"] is not None:
            said.append(f"its unit is {unit['state']} and owned")
        if unit["attempt"] != unit["fence"]:
            said.append(f"attempt {unit['attempt']} under fence {unit['fence']}")
    return said


def ending_of(job: Row, script: Script) -> list[str]:
    """It ended as it must."""
    if job["status"] not in script.endings:
        return [f"it is {job['status']} ({job['status_reason']}: {_short(job['error'])})"]
    if job["status"] == "failed" and job["error"]["code"] not in script.errors:
        return [f"it failed with {job['error']['code']}"]
    return []


def journal_of(contents: Contents, job: Row, script: Script) -> list[str]:
    """Training events, super-epochs and metrics are those of the undisturbed run, once each and in order."""
    whole = job["status"] == "succeeded" or script.kind == "not_finite"
    told = [(e["type"], e["data"]) for e in contents.events[job["id"]] if e["type"] not in SERVICE_EVENTS]
    entries = script.journal()
    expected = [(entry.event.type, json.loads(entry.event.model_dump_json(exclude={"type"}))) for entry in entries]
    said = []
    if told != expected[: None if whole else len(told)]:
        said.append(f"{len(told)} training events, not the {len(expected)} expected in their order")
    seen = entries[: len(told)]
    found = [row["super_epoch"] for row in contents.super_epochs[job["id"]]]
    wanted = [entry.event.super_epoch for entry in seen if isinstance(entry.event, SuperEpochWeights)]
    if found != wanted:
        said.append(f"super-epochs {_short(found)}, not {_short(wanted)}")
    measured = [_measured(row) for row in contents.metrics[job["id"]]]
    if measured != _expected_metrics(seen):
        said.append(f"{len(measured)} metrics, not the {len(_expected_metrics(seen))} expected")
    return said


def divergence_of(contents: Contents, job: Row) -> list[str]:
    """It failed once and for all, for the reason that it has, and tried nothing after that."""
    told = [event["type"] for event in contents.events[job["id"]] if event["type"] not in SERVICE_EVENTS]
    said = [] if (job["error"] or {}).get("code") == NOT_FINITE else [f"it did not diverge: {_short(job['error'])}"]
    if told[-1:] != ["run.failed"] or told.count("run.failed") != 1:
        said.append(f"its failure is not its last event: {told[-3:]}")
    return said


def artifacts_of(contents: Contents, job: Row, store: Path) -> list[str]:
    """Files of what succeeded, whole, under the fence that succeeded; none of anything else."""
    rows = contents.artifacts[job["id"]]
    said = []
    doubled = _doubled(row["name"] for row in rows)
    if doubled:
        said.append(f"doubled artifacts: {doubled}")
    if bool(rows) != (job["status"] == "succeeded"):
        said.append(f"it is {job['status']} and has {len(rows)} artifacts")
    for row in rows:
        path = store / row["uri"]
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != row["sha256"]:
            said.append(f"the artifact {row['name']} is missing or not what it was")
    counted = {store / row["uri"] for row in rows}
    there = {path for path in (store / "jobs" / job["id"]).rglob("*") if path.is_file()}
    if there - counted:
        said.append(f"stray artifacts: {sorted(str(path.relative_to(store)) for path in there - counted)}")
    return said


def folders_of(job: Row, runs: Path) -> list[str]:
    """Nothing of what succeeded; of the others what a retry needs."""
    left = list((runs / job["id"]).glob("*/*"))
    if job["status"] == "succeeded" and (runs / job["id"]).exists():
        return [f"run directories of a job that succeeded: {_short([path.name for path in left])}"]
    stray = [path.name for path in left if path.name not in _KEPT]
    return [f"stray in its run directories: {_short(stray)}"] if stray and job["status"] in TERMINAL else []


def equal(contents: Contents, keys: Iterable[str]) -> list[str]:
    """Jobs of one spec that trained for real have one history and one model, bit for bit."""
    keys = set(keys)
    histories = {}
    for job in contents.jobs:
        if job["idempotency_key"] in keys:
            super_epochs = [(r["super_epoch"], r["weights"], r["heads"]) for r in contents.super_epochs[job["id"]]]
            files = [(r["name"], r["sha256"]) for r in contents.artifacts[job["id"]] if r["kind"] == "model"]
            metrics = [_measured(row) for row in contents.metrics[job["id"]]]
            histories[job["id"]] = json.dumps([super_epochs, metrics, files], default=str)
    if len(set(histories.values())) > 1:
        return [f"equal jobs differ: {sorted(histories)}"]
    return []


def delivered(contents: Contents, streams: Streams) -> list[str]:
    """What clients saw is the log: nothing lost, doubled or out of order over all their reconnections."""
    said = []
    for job_id, seen in streams.items():
        logged = [(event["seq"], event["type"], event["data"]) for event in contents.events[job_id]]
        if list(seen) != logged:
            numbers = [seq for seq, _, _ in seen]
            said.append(f"{job_id}: a stream delivered {_short(numbers)} of {len(logged)} events, or other contents")
    return said


def redone(contents: Contents, scripts: Scripts, diary: Path, *, every: int) -> list[str]:
    """Work lost per crash is at most one checkpoint interval (two where the newest checkpoint was torn on purpose)."""
    torn = {key for key, script in scripts.by_key.items() if script.die_at == "checkpoint.corrupted"}
    twice = {job["id"] for job in contents.jobs if job["idempotency_key"] in torn}
    said = []
    for path in sorted(diary.glob("*")):
        first, _, rest = path.read_text().partition("\n")
        if not rest:  # killed before its first word, or before its first entry
            continue
        resumed, before = (int(word) for word in first.split())
        if before - resumed > every * (2 if path.stem in twice else 1):
            said.append(f"{path.name} went on from {resumed} although {before} were published")
    return said


def plain(value: Any) -> Any:
    """JSON columns as objects on either database."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        return json.loads(value)
    return value


def _expected_metrics(entries: Sequence[JournalEntry]) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for entry in entries:
        epoch = getattr(entry.event, "epoch", None)
        if isinstance(entry.event, RunCompleted):
            scope, epoch, measured = "test", 0, entry.event.test
        elif entry.event.type == "epoch.completed":
            scope, measured = "epoch", entry.event.measurements
        else:
            continue
        found += [(scope, epoch, m.head, m.split, *numbers) for m in measured for numbers in numbers_of(m)]
    return found


def _measured(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("scope", "epoch", "head", "split", "metric", "value", "se"))


def _doubled(keys: Iterable[str]) -> list[str]:
    return sorted(key for key, count in Counter(keys).items() if count > 1)[:5]


def _short(value: Any) -> str:
    said = str(value)
    return said if len(said) < 160 else f"{said[:160]}..."
