"""A sample of the fault suite: every fault once or more on a small fleet, with the whole checker afterwards."""

from __future__ import annotations

import pytest

from tests.chaos import plan
from tests.chaos.fleet import Backend
from tests.chaos.runner import run

UNITS = 24
LIMIT_MINUTES = 8.0
"""On a machine that is idle it takes one; nothing here depends on how long it takes."""


@pytest.mark.timeout(3 * 60 * LIMIT_MINUTES)
@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
def test_whatever_dies_nothing_is_lost(request: pytest.FixtureRequest, backend: Backend) -> None:
    if backend == "postgres":
        request.getfixturevalue("server_binaries")
    result = run(backend, units=UNITS, seed=4, real=2, minutes=LIMIT_MINUTES, interval=0.3)
    assert result.problems == []
    assert result.units == UNITS + 3  # two trainings that end alike, one that diverges
    assert set(result.faults) | set(result.without_victim) == set(plan.every(backend))
    assert {"kill_worker", "kill_api", "stop_worker", "sleep"} <= set(result.faults)
    assert result.attempts > result.units
    assert result.streams > 0
