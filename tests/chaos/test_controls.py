"""Without its guards the engine must fail the checker; with them, in the same situation, it must not."""

from __future__ import annotations

import pytest

from tests.chaos.controls import lost_wake_ups, outliving_child, two_workers_at_one_unit
from tests.chaos.fleet import Backend

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.chaos)])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Either kind of deployment; the fleet starts its own servers, which must be installed."""
    if request.param == "postgres":
        request.getfixturevalue("server_binaries")
        return "postgres"
    return "sqlite"


def test_without_fence_and_unique_keys_two_workers_double_what_they_record(backend: Backend) -> None:
    found = "\n".join(two_workers_at_one_unit(backend, guarded=False))
    assert "doubled events" in found
    assert "training events, not the" in found
    assert "super-epochs" in found
    assert "metrics, not the" in found


def test_with_them_the_same_two_workers_do_no_harm(backend: Backend) -> None:
    assert two_workers_at_one_unit(backend, guarded=True) == []


def test_without_a_dispatcher_a_lost_wake_up_is_a_stall(backend: Backend) -> None:
    (found,) = (said for said in lost_wake_ups(backend, redispatch=False) if "stalled" in said)
    assert found.endswith("stalled: queued")


def test_with_it_a_lost_wake_up_is_sent_again(backend: Backend) -> None:
    assert lost_wake_ups(backend, redispatch=True) == []


def test_a_training_that_does_not_look_after_its_worker_is_found(backend: Backend) -> None:
    (found,) = outliving_child(backend, immortal=True)
    assert "after its worker is gone" in found


def test_the_real_guard_ends_a_training_with_its_worker(backend: Backend) -> None:
    assert outliving_child(backend, immortal=False) == []
