"""The checker finds what is planted, each in the place it is meant for, and nothing in a run that went well."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.artifacts import ArtifactStore
from core.events import RunCompleted
from core.jobs.lease import StoredArtifact
from core.jobs.service import JobService
from core.jobs.units import UnitService
from core.persistence import Database
from core.spec import JobSpec
from tests.chaos.clients import spec_of
from tests.chaos.fleet import ENGINE
from tests.chaos.invariants import Contents, check, redone
from tests.chaos.scripts import NOT_FINITE, Script, Scripts
from tests.chaos.watch import EndWatch
from tests.integration.engine.samples import MODEL

PLAIN = Script("plain", 2, 0.0)
DIVERGES = Script("not_finite", 2, 0.0)


SCRIPTS = {"plain": PLAIN, "diverges": DIVERGES, "real-0": PLAIN, "real-1": PLAIN}


def _train(database: Database, store: ArtifactStore, folder: Path) -> None:
    """One job that succeeds, one that fails and two equal ones."""
    jobs, units = JobService(database, max_attempts=3), UnitService(database, ENGINE)
    written = folder / "model.bin"
    written.write_bytes(MODEL)
    size, digest = len(MODEL), hashlib.sha256(MODEL).hexdigest()
    for key, script in SCRIPTS.items():
        jobs.submit(JobSpec.model_validate(spec_of(script)), idempotency_key=key)
        lease = units.claim_next(["default"], "worker")
        assert lease is not None
        entries = script.journal()
        units.record(lease, entries)
        last = entries[-1].event
        if isinstance(last, RunCompleted):
            uri = store.put(written, f"jobs/{lease.job_id}/{lease.fence}/model.bin", size=size, sha256=digest)
            stored = StoredArtifact(name="model.bin", kind="model", bytes=size, sha256=digest, uri=uri)
            units.succeed(lease, last, [stored])
        else:
            units.fail(lease, {"code": NOT_FINITE, "message": "", "hint": None}, reason=NOT_FINITE)


class Aftermath:
    """What is left of these jobs."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.store, self.runs = folder / "artifacts", folder / "runs"
        self.scripts = Scripts(by_key={"plain": PLAIN, "diverges": DIVERGES}, real={"real-0", "real-1"})
        self.contents = Contents(database)
        self.streams = {self.job["id"]: [(e["seq"], e["type"], e["data"]) for e in self.events]}

    def of(self, key: str) -> dict[str, Any]:
        """The job that was submitted under a key."""
        (job,) = [job for job in self.contents.jobs if job["idempotency_key"] == key]
        return job

    @property
    def job(self) -> dict[str, Any]:
        """The one that succeeded."""
        return self.of("plain")

    @property
    def unit(self) -> dict[str, Any]:
        """Its unit."""
        return self.contents.units[self.job["id"]][0]

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its log."""
        return self.contents.events[self.job["id"]]

    @property
    def artifact(self) -> Path:
        """Its file."""
        return self.store / str(self.contents.artifacts[self.job["id"]][0]["uri"])

    def check(self) -> list[str]:
        """What the checker says."""
        return check(self.contents, self.scripts, store=self.store, runs=self.runs, streams=self.streams)


@pytest.fixture(scope="module")
def _trained(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    shutil.copyfile(_migrated_sqlite, folder / "gblend.sqlite3")
    database = Database(f"sqlite:///{folder / 'gblend.sqlite3'}")
    _train(database, ArtifactStore((folder / "artifacts").as_uri()), folder)
    database.close()
    return folder


@pytest.fixture
def database(_trained: Path, tmp_path: Path) -> Iterator[Database]:
    """A checker reads rows: one kind of database is enough."""
    shutil.copytree(_trained, tmp_path, dirs_exist_ok=True)
    opened = Database(f"sqlite:///{tmp_path / 'gblend.sqlite3'}")
    yield opened
    opened.close()


@pytest.fixture
def after(database: Database, tmp_path: Path) -> Aftermath:
    """Nothing went wrong, so far."""
    return Aftermath(database, tmp_path)


def test_nothing_is_found_where_nothing_is_wrong(after: Aftermath) -> None:
    assert after.check() == []
    assert len(after.contents.jobs) == 4
    assert len(after.events) == 8 + 4  # what it published; created, taken, running, ended


def _gap(after: Aftermath) -> None:
    del after.events[3]


def _double(after: Aftermath) -> None:
    after.events.insert(4, dict(after.events[4]))


def _swap(after: Aftermath) -> None:
    events = after.events
    first, second = events[4], events[5]
    events[4], events[5] = {**second, "seq": first["seq"]}, {**first, "seq": second["seq"]}


def _other_data(after: Aftermath) -> None:
    found = next(event for event in after.events if event["type"] == "epoch.completed")
    found["data"]["measurements"][0]["loss"] += 1e-9


def _turn_back_time(after: Aftermath) -> None:
    after.events[-1]["created_at"] = "2000-01-01 00:00:00"


def _log_gap(after: Aftermath) -> None:
    after.contents.log_chunks[after.job["id"]] = [{"seq": 1}, {"seq": 3}]


def _lose_super_epoch(after: Aftermath) -> None:
    after.contents.super_epochs[after.job["id"]].pop()


def _double_metric(after: Aftermath) -> None:
    metrics = after.contents.metrics[after.job["id"]]
    metrics.append(metrics[0])


def _go_on_after_the_end(after: Aftermath) -> None:
    after.job["transitions"].append({"status": "running"})
    after.job["status"] = "running"


def _other_end(after: Aftermath) -> None:
    after.job["status"] = "cancelled"


def _no_moment(after: Aftermath) -> None:
    after.job["finished_at"] = None


def _open_unit(after: Aftermath) -> None:
    after.unit["state"] = "leased"


def _no_unit(after: Aftermath) -> None:
    after.contents.units[after.job["id"]].clear()


def _two_claims_at_once(after: Aftermath) -> None:
    after.unit["fence"] += 1


def _never_end(after: Aftermath) -> None:
    after.job.update(status="queued", finished_at=None)


def _lose_job(after: Aftermath) -> None:
    after.contents.jobs.remove(after.job)


def _double_job(after: Aftermath) -> None:
    after.contents.jobs.append(dict(after.job))


def _nobodys_job(after: Aftermath) -> None:
    del after.scripts.by_key["plain"]


def _other_error(after: Aftermath) -> None:
    after.of("diverges")["error"]["code"] = "worker_error"


def _fail(after: Aftermath) -> None:
    after.scripts.by_key["diverges"] = PLAIN


def _tear_artifact(after: Aftermath) -> None:
    after.artifact.write_bytes(MODEL[:5])


def _lose_artifact(after: Aftermath) -> None:
    after.artifact.unlink()


def _stray_artifact(after: Aftermath) -> None:
    stray = after.store / "jobs" / after.job["id"] / "7" / "model.bin"
    stray.parent.mkdir()
    stray.write_bytes(MODEL)


def _double_artifact(after: Aftermath) -> None:
    after.contents.artifacts[after.job["id"]] *= 2


def _artifact_of_a_failure(after: Aftermath) -> None:
    failed = after.of("diverges")["id"]
    after.contents.artifacts[failed] = after.contents.artifacts.pop(after.job["id"])


def _leave_run_directory(after: Aftermath) -> None:
    (after.runs / after.job["id"] / "1" / "checkpoints").mkdir(parents=True)


def _leave_more_than_a_retry_needs(after: Aftermath) -> None:
    (after.runs / after.of("diverges")["id"] / "1" / "artifacts").mkdir(parents=True)


def _other_weights(after: Aftermath) -> None:
    after.contents.super_epochs[after.of("real-1")["id"]][1]["weights"]["fused"] = 0.25 + 1e-12


def _other_model(after: Aftermath) -> None:
    after.contents.artifacts[after.of("real-1")["id"]][0]["sha256"] = "0" * 64


def _stream(change: Callable[[list[tuple[int, str, Any]]], object]) -> Callable[[Aftermath], None]:
    def plant(after: Aftermath) -> None:
        change(after.streams[after.job["id"]])

    return plant


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (_gap, "seq has gaps or repeats"),
        (_double, "doubled events: ['run:2']"),
        (_swap, "8 training events, not the 8 expected in their order"),
        (_other_data, "8 training events, not the 8 expected in their order"),
        (_turn_back_time, "events are not in the order of their times"),
        (_log_gap, "log has gaps or repeats: [1, 3]"),
        (_lose_super_epoch, "super-epochs [0], not [0, 1]"),
        (_double_metric, "metrics, not the"),
        (_go_on_after_the_end, "it went on after its end"),
        (_other_end, "it is cancelled after"),
        (_no_moment, "finished at None"),
        (_open_unit, "its unit is leased"),
        (_no_unit, "it has no unit"),
        (_two_claims_at_once, "attempt 1 under fence 2"),
        (_never_end, "stalled: queued"),
        (_lose_job, "submitted as plain and lost"),
        (_double_job, "plain made 2 jobs"),
        (_nobodys_job, "nobody submitted plain"),
        (_other_error, "it failed with worker_error"),
        (_fail, f"it is failed ({NOT_FINITE}"),
        (_tear_artifact, "the artifact model.bin is missing or not what it was"),
        (_lose_artifact, "the artifact model.bin is missing or not what it was"),
        (_stray_artifact, "stray artifacts"),
        (_double_artifact, "doubled artifacts: ['model.bin']"),
        (_artifact_of_a_failure, "it is failed and has 1 artifacts"),
        (_leave_run_directory, "run directories of a job that succeeded"),
        (_leave_more_than_a_retry_needs, "stray in its run directories: ['artifacts']"),
        (_other_weights, "equal jobs differ"),
        (_other_model, "equal jobs differ"),
        (_stream(lambda seen: seen.pop(2)), "a stream delivered [1, 2, 4"),
        (_stream(lambda seen: seen.insert(2, seen[1])), "a stream delivered [1, 2, 2, 3"),
        (_stream(lambda seen: seen.reverse()), "a stream delivered [12, 11"),
        (_stream(lambda seen: seen.pop()), "of 12 events"),
    ],
)
def test_what_is_planted_is_found(after: Aftermath, plant: Callable[[Aftermath], None], said: str) -> None:
    plant(after)
    assert said in "\n".join(after.check())


def test_a_job_that_fails_must_have_told_all_it_knew(after: Aftermath) -> None:
    events = after.contents.events[after.of("diverges")["id"]]
    del events[[event["type"] for event in events].index("super_epoch.weights")]
    assert "4 training events, not the 5 expected in their order" in "\n".join(after.check())


@pytest.mark.parametrize(
    ("key", "diary", "found"),
    [
        ("plain", "4 8\n...", []),
        ("plain", "4 9\n...", ["{job}.2 went on from 4 although 9 were published"]),
        ("plain", "4 9\n", []),  # killed before it did anything again
        ("torn", "4 12\n...", []),  # its newest checkpoint was torn on purpose
        ("torn", "3 12\n...", ["{job}.2 went on from 3 although 12 were published"]),
    ],
)
def test_work_done_again_is_counted(after: Aftermath, tmp_path: Path, key: str, diary: str, found: list[str]) -> None:
    after.scripts.by_key["torn"] = Script("dies", 2, 0.0, "checkpoint.corrupted")
    after.of("diverges")["idempotency_key"] = "torn"
    job_id = after.of(key)["id"]
    folder = tmp_path / "diary"
    folder.mkdir()
    (folder / f"{job_id}.2").write_text(diary)
    assert redone(after.contents, after.scripts, folder, every=4) == [said.format(job=job_id) for said in found]


def test_an_end_that_changes_is_found(database: Database, after: Aftermath) -> None:
    watch = EndWatch(database)
    watch.look()
    assert (watch.ended, watch.problems) == (4, [])
    with database.write() as session:
        session.connection().exec_driver_sql("UPDATE job SET last_seq = 99 WHERE idempotency_key = 'plain'")
    watch.look()
    (found,) = watch.problems
    assert found.startswith(f"{after.job['id']} had ended as ('succeeded', ")
    assert "'99'" in found


def test_an_end_that_is_gone_is_found(database: Database, after: Aftermath) -> None:
    watch = EndWatch(database)
    watch.look()
    with database.write() as session:
        session.connection().exec_driver_sql("UPDATE job SET status = 'running' WHERE idempotency_key = 'plain'")
    watch.look()
    (found,) = watch.problems
    assert found.startswith(f"{after.job['id']} had ended")
    assert found.endswith("and is now gone")
