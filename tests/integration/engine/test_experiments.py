"""Experiments on both databases: all or nothing, once per key, and what their jobs say together."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.engine import Connection

from core.errors import ConflictError, IdempotencyError, Issue, NotFoundError, SpecError
from core.jobs.broker import WakeUp
from core.jobs.experiment_views import ExperimentView
from core.jobs.experiments import ExperimentService
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.units import UnitService
from core.persistence import Database
from core.persistence.orm import EventRow, ExperimentJobRow, ExperimentRow, JobRow, UnitRow
from core.settings import EngineSettings
from core.spec.experiment import ExperimentSpec
from tests.integration.engine.samples import completed, run, spec

TABLES = (ExperimentRow, ExperimentJobRow, JobRow, UnitRow, EventRow)


def experiment_spec(**changes: Any) -> ExperimentSpec:
    raw = {"name": "two", "job": spec().resolved(), "strategies": ["naive", "online"], "seeds": [4, 2, 9], **changes}
    return ExperimentSpec.model_validate(raw)


@pytest.fixture
def experiments(database: Database) -> ExperimentService:
    return ExperimentService(database)


@pytest.fixture
def jobs(database: Database) -> JobService:
    return JobService(database)


@pytest.fixture
def units(database: Database) -> UnitService:
    return UnitService(database, EngineSettings())


def rows(database: Database) -> list[int]:
    with database.read() as session:
        return [session.execute(select(func.count()).select_from(table)).scalar_one() for table in TABLES]


def train(units: UnitService, unit_id: str, accuracy: float | None) -> None:
    """A whole run whose model has this test accuracy; `None`: it fails."""
    lease = units.claim(unit_id, "w")
    assert lease is not None
    if accuracy is None:
        units.fail(lease, {"code": "training.failed", "message": "not finite", "hint": None}, reason="failed")
        return
    units.record(lease, run(epochs=2))
    units.succeed(lease, completed().model_copy(update={"test_accuracy": accuracy}), [])


def test_every_strategy_and_seed_becomes_an_ordinary_job(experiments: ExperimentService, jobs: JobService) -> None:
    warning = Issue(code="split.small", detail="few rows", severity="warning", pointer="#/job/dataset/split")
    made, created = experiments.submit(experiment_spec(), warnings=[warning])
    assert created
    assert made == experiments.get(made.id)
    assert (made.name, made.status, made.strategies) == ("two", "queued", ("naive", "online"))
    assert made.counts[JobStatus.QUEUED] == 6
    assert sum(made.counts.values()) == 6
    assert made.warnings == (warning.to_json(),)
    assert [(job.strategy, job.seed) for job in made.jobs] == [
        ("naive", 4),
        ("online", 4),
        ("naive", 2),
        ("online", 2),
        ("naive", 9),
        ("online", 9),
    ]
    first = jobs.get(made.jobs[0].job_id)
    assert (first.name, first.seed, first.queue_position) == ("two: naive, seed 4", 4, 1)
    assert first.spec["blending"] == {"strategy": "naive"}
    assert first.warnings[0]["pointer"] == "#/dataset/split"
    assert [jobs.get(job.job_id).queue_position for job in made.jobs] == [1, 2, 3, 4, 5, 6]
    assert [event.type for event in jobs.events(first.id).data] == ["job.created"]


def test_a_failure_in_the_middle_leaves_nothing(database: Database) -> None:
    """The last statement of the transaction fails, after every job, unit and event was inserted."""
    sent: list[WakeUp] = []
    experiments = ExperimentService(database, announce=sent.append)
    seen = Counter[str]()

    def fail_late(connection: Connection, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("INSERT INTO experiment_job"):
            seen["members"] += 1
            connection.exec_driver_sql("SELECT no_such_column FROM job")

    event.listen(database.engine, "before_cursor_execute", fail_late)
    try:
        with pytest.raises(Exception, match="no_such_column"):
            experiments.submit(experiment_spec())
    finally:
        event.remove(database.engine, "before_cursor_execute", fail_late)
    assert seen["members"] == 1
    assert rows(database) == [0, 0, 0, 0, 0]
    assert sent == []
    experiments.submit(experiment_spec())
    assert rows(database) == [1, 6, 6, 6, 6]


def test_a_strategy_that_gives_no_job_creates_nothing(database: Database, experiments: ExperimentService) -> None:
    bad = experiment_spec(strategies=["naive", {"name": "bad", "changes": {"training": {"epochs": 0}}}])
    with pytest.raises(ValueError, match=r"training\.epochs"):
        experiments.submit(bad)
    assert rows(database) == [0, 0, 0, 0, 0]


def test_the_wake_ups_are_sent_after_the_commit_in_order(database: Database, units: UnitService) -> None:
    seen: list[tuple[int, WakeUp]] = []
    experiments = ExperimentService(database, announce=lambda wake_up: seen.append((rows(database)[0], wake_up)))
    experiments.submit(experiment_spec(seeds=list(range(60))))
    assert [count for count, _ in seen] == [1] * 100
    assert [wake_up.unit_id for _, wake_up in seen] == sorted(wake_up.unit_id for _, wake_up in seen)
    assert len(units.take_due()) == 20  # the rest is a dispatcher's


def test_a_broker_that_is_down_is_tried_once_and_loses_nothing(
    database: Database, units: UnitService, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[WakeUp] = []

    def refuse(wake_up: WakeUp) -> None:
        tried.append(wake_up)
        raise ConnectionError("no broker")

    ExperimentService(database, announce=refuse).submit(experiment_spec())
    assert len(tried) == 1
    assert len(units.take_due()) == 6
    assert caplog.text.count("wake-up not sent") == 1


def test_the_same_key_and_body_give_the_first_experiment(experiments: ExperimentService, jobs: JobService) -> None:
    jobs.submit(spec(), idempotency_key="key-1")  # the key of a job is another
    first, created = experiments.submit(experiment_spec(), idempotency_key="key-1")
    again, created_again = experiments.submit(experiment_spec(), idempotency_key="key-1")
    assert (created, created_again, again) == (True, False, first)
    with pytest.raises(IdempotencyError, match=r"idempotency\.mismatch") as caught:
        experiments.submit(experiment_spec(seeds=[1]), idempotency_key="key-1")
    assert first.id in str(caught.value.hint)
    with pytest.raises(SpecError, match=r"idempotency\.key"):
        experiments.submit(experiment_spec(), idempotency_key="é")


def test_of_many_requests_with_one_key_one_creates(database: Database, experiments: ExperimentService) -> None:
    barrier = threading.Barrier(6)
    answers: list[tuple[ExperimentView, bool]] = []

    def submit() -> None:
        barrier.wait()
        answers.append(experiments.submit(experiment_spec(), idempotency_key="race"))

    threads = [threading.Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(created for _, created in answers) == {True: 1, False: 5}
    assert len({view.id for view, _ in answers}) == 1
    assert rows(database) == [1, 6, 6, 6, 6]


def test_another_projects_experiment_is_not_there(experiments: ExperimentService) -> None:
    made, _ = experiments.submit(experiment_spec(), project="ours")
    for look in (experiments.get, experiments.cancel, experiments.comparison):
        with pytest.raises(NotFoundError, match=r"experiment\.not_found"):
            look(made.id, project="theirs")
    assert experiments.list_experiments(project="theirs").data == ()
    assert experiments.get(made.id, project="ours").id == made.id


def test_pages_are_newest_first_and_complete(experiments: ExperimentService) -> None:
    made = [experiments.submit(experiment_spec(seeds=[seed]))[0].id for seed in range(5)]
    seen: list[str] = []
    after = None
    while True:
        page = experiments.list_experiments(after=after, limit=2)
        seen += [view.id for view in page.data]
        assert all(view.counts[JobStatus.QUEUED] == 2 and view.jobs == () for view in page.data)
        after = page.next_after
        if not page.has_more:
            break
    assert seen == sorted(made, reverse=True)


def test_the_status_is_that_of_the_jobs(experiments: ExperimentService, jobs: JobService, units: UnitService) -> None:
    made, _ = experiments.submit(experiment_spec(seeds=[0]))
    first, second = units.take_due()
    train(units, first, 0.75)
    going = experiments.get(made.id)
    assert (going.status, going.status.is_terminal, going.finished_at) == ("running", False, None)
    assert going.started_at is not None
    assert going.counts[JobStatus.SUCCEEDED] == 1
    train(units, second, None)
    ended = experiments.get(made.id)
    assert (ended.status, ended.status.is_terminal) == ("failed", True)
    assert ended.finished_at == jobs.get(made.jobs[1].job_id).finished_at
    assert experiments.list_experiments().data[0].status == "failed"


def test_cancelling_stops_what_has_not_ended(
    experiments: ExperimentService, jobs: JobService, units: UnitService
) -> None:
    made, _ = experiments.submit(experiment_spec())
    done, running, *_ = units.take_due()
    train(units, done, 0.75)
    lease = units.claim(running, "w")
    assert lease is not None
    cancelled = experiments.cancel(made.id)
    assert cancelled.status == "running"
    assert [job.status.value for job in cancelled.jobs] == ["succeeded", "cancelling", *["cancelled"] * 4]
    assert units.desired(lease) == "cancel"
    assert experiments.cancel(made.id).status == "running"
    units.release(lease, reason="cancel_requested")
    assert experiments.get(made.id).status == "cancelled"
    with pytest.raises(ConflictError, match=r"experiment\.state"):
        experiments.cancel(made.id)
    assert units.take_due() == []


def test_a_comparison_grows_with_its_jobs(experiments: ExperimentService, units: UnitService) -> None:
    made, _ = experiments.submit(experiment_spec())
    _, before = experiments.comparison(made.id)
    assert [row.done for row in before.strategies] == [0, 0]
    assert (before.best, before.to_best, before.to_reference[0].pairs) == (None, (), 0)
    waiting = units.take_due()
    for unit_id, accuracy in zip(waiting, (0.5, 0.75, 0.625, 0.75, 0.5), strict=False):
        train(units, unit_id, accuracy)
    view, found = experiments.comparison(made.id)
    assert view.status == "running"
    naive, online = found.strategies
    assert [(each.seed, each.score) for each in naive.scores] == [(4, 0.5), (2, 0.625), (9, 0.5)]
    assert (online.done, online.planned, online.test.mean) == (2, 3, 0.75)
    (difference,) = found.to_reference
    assert (difference.strategy, difference.minus, difference.pairs) == ("online", "naive", 2)
    assert difference.mean == pytest.approx(0.1875)
    assert found.best == "online"
    assert online.answers == {"fused": 2}
    assert online.cost is not None
    assert (online.cost.seconds, online.cost.samples) == (1.0, 240.0)
    assert online.super_epochs[1].weights == {"audio": 0.25, "image": 0.5, "fused": 0.25}
    assert [(each.strategy, each.mean) for each in experiments.comparison(made.id, reference="online")[1].to_best] == [
        ("naive", pytest.approx(-0.1875))
    ]
    with pytest.raises(SpecError, match=r"reference\.unknown"):
        experiments.comparison(made.id, reference="offline")


def test_a_job_that_is_gone_is_left_out(database: Database, experiments: ExperimentService) -> None:
    made, _ = experiments.submit(experiment_spec())
    with database.write() as session:
        session.execute(text("DELETE FROM job WHERE id = :id"), {"id": made.jobs[0].job_id})
    assert len(experiments.get(made.id).jobs) == 5
    assert experiments.comparison(made.id)[1].strategies[0].planned == 2
