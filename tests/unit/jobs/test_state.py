"""The transition table, walked over every (status, action)."""

from __future__ import annotations

import itertools

import pytest

from core.errors import ConflictError
from core.jobs.state import TERMINAL, TRANSITIONS, Action, JobStatus, next_status

ALLOWED = {
    "queued": {"claim": "starting", "cancel": "cancelled", "fail": "failed"},
    "starting": {"start": "running", "release": "queued", "fail": "failed", "cancel": "cancelling"},
    "running": {
        "start": "running",
        "release": "queued",
        "succeed": "succeeded",
        "fail": "failed",
        "cancel": "cancelling",
    },
    "cancelling": {
        "start": "cancelling",
        "cancel": "cancelling",
        "release": "cancelled",
        "stopped": "cancelled",
        "succeed": "succeeded",
        "fail": "cancelled",
    },
}


@pytest.mark.parametrize(("status", "action"), list(itertools.product(JobStatus, Action)))
def test_every_pair_is_a_row_or_a_conflict(status: JobStatus, action: Action) -> None:
    expected = ALLOWED.get(status.value, {}).get(action.value)
    if expected is None:
        with pytest.raises(ConflictError, match=r"job\.state"):
            next_status(status, action)
    else:
        assert next_status(status, action).value == expected


def test_terminal_states_never_change() -> None:
    assert {status.value for status in TERMINAL} == {"succeeded", "failed", "cancelled"}
    assert not [key for key in TRANSITIONS if key[0].is_terminal]


def test_every_state_can_be_reached_and_every_live_one_left() -> None:
    reached, frontier = {JobStatus.QUEUED}, [JobStatus.QUEUED]
    while frontier:
        status = frontier.pop()
        for (origin, _), target in TRANSITIONS.items():
            if origin is status and target not in reached:
                reached.add(target)
                frontier.append(target)
    assert reached == set(JobStatus)
    for status in set(JobStatus) - TERMINAL:
        assert [key for key, target in TRANSITIONS.items() if key[0] is status and target is not status]
