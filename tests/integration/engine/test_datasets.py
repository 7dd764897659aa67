"""Registered data sets on real databases: one key registers once, and projects do not see each other's."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from core.errors import IdempotencyError, Issue, NotFoundError
from core.jobs.dataset_views import DatasetView
from core.jobs.datasets import DatasetService
from core.persistence import Database
from core.spec.registration import DatasetRegistration
from tests.integration.engine.samples import spec


def registration(name: str = "toys") -> DatasetRegistration:
    return DatasetRegistration(name=name, metadata={"team": "a"}, dataset=spec().dataset)


def register(
    datasets: DatasetService, name: str = "toys", *, project: str = "default", key: str | None = None
) -> tuple[DatasetView, bool]:
    return datasets.register(
        registration(name),
        fingerprint="sha256:0",
        statistics={"rows": 7},
        warnings=[Issue(code="target.imbalanced", severity="warning", detail="odd", examples=("a",))],
        project=project,
        idempotency_key=key,
    )


@pytest.fixture
def datasets(database: Database) -> DatasetService:
    return DatasetService(database)


def test_what_was_registered_comes_back(datasets: DatasetService) -> None:
    made, is_new = register(datasets)
    assert is_new
    found = datasets.get(made.id)
    assert found == made
    assert (found.name, found.metadata, found.fingerprint, found.statistics) == (
        "toys",
        {"team": "a"},
        "sha256:0",
        {"rows": 7},
    )
    assert DatasetRegistration.model_validate(found.spec) == registration()
    assert [Issue.from_json(raw).code for raw in found.warnings] == ["target.imbalanced"]


def test_of_many_requests_with_one_key_one_registers(datasets: DatasetService) -> None:
    barrier = threading.Barrier(6)
    answers: list[tuple[DatasetView, bool]] = []

    def submit() -> None:
        barrier.wait()
        answers.append(register(datasets, key="race"))

    threads = [threading.Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(is_new for _, is_new in answers) == {True: 1, False: 5}
    assert len({view.id for view, _ in answers}) == 1
    with pytest.raises(IdempotencyError, match=r"idempotency\.mismatch"):
        register(datasets, "others", key="race")
    assert register(datasets, project="theirs", key="race")[1]


def test_another_projects_data_set_is_not_there(datasets: DatasetService) -> None:
    made, _ = register(datasets, project="ours")
    for look in (datasets.get, datasets.delete):
        with pytest.raises(NotFoundError, match=r"dataset\.not_found"):
            look(made.id, project="theirs")
    assert datasets.list_datasets(project="theirs").data == ()
    assert datasets.get(made.id, project="ours") == made


def test_pages_are_newest_first_and_deleted_ones_are_gone(datasets: DatasetService) -> None:
    made = [register(datasets, f"set {k}")[0].id for k in range(4)]
    datasets.delete(made[1])
    first = datasets.list_datasets(limit=2)
    assert [view.id for view in first.data] == [made[3], made[2]]
    assert first.has_more
    second = datasets.list_datasets(limit=2, after=first.next_after)
    assert [view.id for view in second.data] == [made[0]]
    assert (second.has_more, second.next_after) == (False, made[0])
