"""Deletion in two phases and retention, whoever dies in between. On both databases."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from core.artifacts import ArtifactStore
from core.errors import ArtifactError, ConflictError, NotFoundError
from core.jobs.experiments import ExperimentService
from core.jobs.lease import Lease
from core.jobs.lifecycle import Lifecycle
from core.jobs.retention import Retention
from core.jobs.service import JobService
from core.jobs.submission import WakeUps
from core.jobs.units import UnitService
from core.persistence import Database
from core.spec.experiment import ExperimentSpec
from tests.integration.engine.samples import completed, run, spec

ERROR = {"code": "child_crashed", "message": "it crashed", "hint": None}
DEFAULT = ("default",)


@pytest.fixture
def lifecycle(database: Database, jobs: JobService) -> Lifecycle:
    return Lifecycle(database, jobs, WakeUps(database, None))


@pytest.fixture
def experiments(database: Database) -> ExperimentService:
    return ExperimentService(database)


def _sql(database: Database, statement: str, **values: Any) -> None:
    with database.write() as session:
        session.execute(text(statement), values)


def _submit(jobs: JobService, **scheduling: Any) -> str:
    return jobs.submit(spec(scheduling=scheduling))[0].id


def _claim(units: UnitService) -> Lease:
    lease = units.claim_next(DEFAULT, "w")
    assert lease is not None
    return lease


def _failed(jobs: JobService, units: UnitService, **scheduling: Any) -> str:
    job_id = _submit(jobs, **scheduling)
    units.fail(_claim(units), ERROR, reason="data.invalid")
    return job_id


class FailingStore(ArtifactStore):
    """A store that is away, for as long as `away` says so."""

    away = True

    def delete_below(self, prefix: str) -> None:
        """Fails, or does it."""
        if self.away:
            raise ArtifactError("the store is away")
        super().delete_below(prefix)


def _succeeded(jobs: JobService, units: UnitService, store: ArtifactStore, tmp_path: Path, key: str) -> str:
    job_id = jobs.submit(spec(), idempotency_key=key)[0].id
    lease = _claim(units)
    units.record(lease, run(3))
    units.succeed(lease, completed(), [])
    written = completed().artifacts[0]
    (tmp_path / "model.bin").write_bytes(b"weights of a model")
    store.put(tmp_path / "model.bin", f"jobs/{job_id}/1/model.bin", size=written.bytes, sha256=written.sha256)
    return job_id


TABLES = ("job", "unit", "event", "super_epoch", "metric", "artifact")


def _rows(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {name: session.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in TABLES}


def test_deleting_hides_at_once_and_removes_later_whoever_dies_in_between(
    database: Database, jobs: JobService, units: UnitService, lifecycle: Lifecycle, store: ArtifactStore, tmp_path: Path
) -> None:
    store = FailingStore((tmp_path / "artifacts").as_uri())
    job_id = _succeeded(jobs, units, store, tmp_path, "k")
    kept = _succeeded(jobs, units, store, tmp_path, "kept")
    of_kept = _rows(database)
    lifecycle.delete(job_id)
    for look in (jobs.get, jobs.events, jobs.super_epochs, jobs.metrics, jobs.artifacts, jobs.last_seq, jobs.cancel):
        with pytest.raises(NotFoundError, match=r"job\.not_found"):
            look(job_id)
    for act in (lifecycle.pause, lifecycle.resume, lifecycle.retry, lifecycle.delete):
        with pytest.raises(NotFoundError):
            act(job_id)
    assert [job.id for job in jobs.list_jobs().data] == [kept]
    assert _rows(database) == of_kept, "hidden, not removed"
    assert units.disposable([job_id]) == {job_id}
    again, created = jobs.submit(spec(), idempotency_key="k")
    assert created, "its idempotency key is free again"

    retention = Retention(database, store)
    assert retention.sweep() == 0, "the store is away: nothing is removed, nothing is forgotten"
    assert store.children(f"jobs/{job_id}") == ("1",)
    store.away = False
    assert Retention(database, store).sweep() == 1, "the next sweep, in any process, finishes it"
    assert store.children(f"jobs/{job_id}") == ()
    assert store.children(f"jobs/{kept}") == ("1",)
    assert retention.sweep() == 0
    jobs.cancel(again.id)
    rows = _rows(database)
    assert (rows["job"], rows["unit"], rows["artifact"], rows["super_epoch"]) == (2, 2, 0, 3)
    assert units.disposable([job_id, kept]) == {job_id, kept}


def test_a_crash_between_files_and_rows_is_finished_by_the_next_sweep(
    database: Database, jobs: JobService, units: UnitService, lifecycle: Lifecycle, store: ArtifactStore, tmp_path: Path
) -> None:
    job_id = _succeeded(jobs, units, store, tmp_path, "k")
    lifecycle.delete(job_id)
    store.delete_below(f"jobs/{job_id}")  # as far as the process came that died
    assert Retention(database, store).sweep() == 1
    assert set(_rows(database).values()) == {0}


def test_only_what_has_ended_can_be_deleted(jobs: JobService, units: UnitService, lifecycle: Lifecycle) -> None:
    job_id = _submit(jobs)
    for _ in range(2):
        with pytest.raises(ConflictError, match=r"job\.state") as refused:
            lifecycle.delete(job_id)
        assert refused.value.hint == "only what has ended can be deleted; cancel it first"
        lifecycle.pause(job_id)
    jobs.cancel(job_id)
    lifecycle.delete(job_id)


def test_a_retry_does_not_look_behind_a_deleted_job(
    database: Database, jobs: JobService, units: UnitService, lifecycle: Lifecycle, store: ArtifactStore
) -> None:
    first = _failed(jobs, units)
    second = lifecycle.retry(first)[0].id
    lifecycle.delete(first)
    Retention(database, store).sweep()
    assert jobs.get(second).retry_of == first
    assert _claim(units).retry_of == ()


def test_an_experiment_is_deleted_as_a_whole(
    database: Database, jobs: JobService, lifecycle: Lifecycle, experiments: ExperimentService, store: ArtifactStore
) -> None:
    body = ExperimentSpec.model_validate({"job": spec().resolved(), "strategies": ["naive", "equal"], "seeds": [0]})
    made, _ = experiments.submit(body, idempotency_key="k")
    with pytest.raises(ConflictError, match=r"experiment\.state"):
        experiments.delete(made.id)
    experiments.cancel(made.id)
    with pytest.raises(ConflictError, match=r"job\.of_experiment") as refused:
        lifecycle.delete(made.jobs[0].job_id)
    assert made.id in str(refused.value.hint)
    experiments.delete(made.id)
    for look in (experiments.get, experiments.comparison, experiments.cancel, experiments.delete):
        with pytest.raises(NotFoundError, match=r"experiment\.not_found"):
            look(made.id)
    assert experiments.list_experiments().data == ()
    assert jobs.list_jobs().data == ()
    another, created = experiments.submit(body, idempotency_key="k")
    assert created
    assert Retention(database, store).sweep() == 2
    with database.read() as session:
        assert session.execute(text("SELECT id FROM experiment")).scalars().all() == [another.id]


def test_what_ended_long_ago_is_deleted(
    database: Database,
    jobs: JobService,
    units: UnitService,
    experiments: ExperimentService,
    store: ArtifactStore,
    tmp_path: Path,
) -> None:
    old = _succeeded(jobs, units, store, tmp_path, "old")
    failed = _failed(jobs, units)
    body = {"job": spec().resolved(), "strategies": ["naive", "equal"], "seeds": [0]}
    gone, half = (experiments.submit(ExperimentSpec.model_validate(body))[0] for _ in range(2))
    experiments.cancel(gone.id)
    jobs.cancel(half.jobs[0].job_id)
    forever = Retention(database, store)
    month = Retention(database, store, retention_days=30)
    for retention in (forever, month):
        assert retention.sweep() == 0
    _sql(database, "UPDATE job SET finished_at = '2000-01-01 00:00:00.000000+00' WHERE finished_at IS NOT NULL")
    _sql(database, "UPDATE experiment SET created_at = '1999-01-01 00:00:00.000000+00'")
    assert forever.sweep() == 0
    swept: list[int] = []
    threads = [threading.Thread(target=lambda: swept.append(month.sweep())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    month.sweep()
    left = {job.id for job in jobs.list_jobs().data}
    assert left == {member.job_id for member in half.jobs}, "an experiment goes when its last job is old"
    assert not left & {old, failed}
    assert [each.id for each in experiments.list_experiments().data] == [half.id]
    assert store.children(f"jobs/{old}") == ()
