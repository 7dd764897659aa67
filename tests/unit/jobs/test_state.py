"""The transition table, walked over every (state, action), and at random."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConflictError
from core.jobs.state import TABLE, TERMINAL, Action, JobStatus, Refusal, next_status

NOTHING = "no worker holds it"
STOPPING = "it is being stopped"
LIVE = "cancel it first"
ENDED = "submit a new one"
BADLY = "retry it, which makes a new job"

# What each action leads to, or the words of the hint. Columns: claim, start, release, succeed, fail, cancel, pause,
# resume, stopped, retry, delete.
ACTIONS = ["claim", "start", "release", "succeed", "fail", "cancel", "pause", "resume", "stopped", "retry", "delete"]
EXPECTED: dict[str, tuple[str, ...]] = {
    "queued": (
        *("starting", NOTHING, NOTHING, NOTHING, "failed"),
        *("cancelled", "paused", "queued", NOTHING, LIVE, LIVE),
    ),
    "starting": (
        *("starting", "running", "queued", "has said nothing yet", "failed"),
        *("cancelling", "pausing", "starting", "nobody asked it to stop", LIVE, LIVE),
    ),
    "running": (
        *("running", "running", "queued", "succeeded", "failed"),
        *("cancelling", "pausing", "running", "nobody asked it to stop", LIVE, LIVE),
    ),
    "pausing": (
        *(STOPPING, "pausing", "paused", "succeeded", "failed"),
        *("cancelling", "pausing", "starting", "paused", LIVE, LIVE),
    ),
    "paused": (
        *("resume it first", NOTHING, NOTHING, NOTHING, NOTHING),
        *("cancelled", "paused", "queued", NOTHING, LIVE, LIVE),
    ),
    "cancelling": (
        *(STOPPING, "cancelling", "cancelled", "succeeded", "cancelled"),
        *("cancelling", "cannot be taken back", "cannot be taken back", "cancelled", "retry it when it is", LIVE),
    ),
    "succeeded": (*(ENDED,) * 9, "nothing to go on from", "succeeded"),
    "failed": (*(BADLY,) * 9, "failed", "failed"),
    "cancelled": (*(BADLY,) * 9, "cancelled", "cancelled"),
}


def test_the_table_is_total() -> None:
    assert set(TABLE) == set(itertools.product(JobStatus, Action))
    assert [action.value for action in Action] == ACTIONS
    assert [status.value for status in JobStatus] == list(EXPECTED)


@pytest.mark.parametrize(("status", "action"), list(itertools.product(JobStatus, Action)))
def test_every_pair_leads_somewhere_or_says_why_not(status: JobStatus, action: Action) -> None:
    expected = EXPECTED[status.value][ACTIONS.index(action.value)]
    if expected in EXPECTED:
        assert next_status(status, action).value == expected
        return
    with pytest.raises(ConflictError, match=r"job\.state") as refused:
        next_status(status, action)
    assert refused.value.detail.startswith(f"a {status.value} job cannot be ")
    assert refused.value.hint is not None
    assert expected in refused.value.hint


@pytest.mark.parametrize(
    ("status", "action", "sentence"),
    [
        (JobStatus.CANCELLING, Action.PAUSE, "a cancelling job cannot be paused"),
        (JobStatus.SUCCEEDED, Action.CANCEL, "a succeeded job cannot be cancelled"),
        (JobStatus.FAILED, Action.RESUME, "a failed job cannot be resumed"),
        (JobStatus.PAUSED, Action.RETRY, "a paused job cannot be retried"),
        (JobStatus.QUEUED, Action.DELETE, "a queued job cannot be deleted"),
    ],
)
def test_a_refusal_is_a_sentence(status: JobStatus, action: Action, sentence: str) -> None:
    with pytest.raises(ConflictError) as refused:
        next_status(status, action)
    assert refused.value.detail == sentence


def test_no_refusal_is_left_over() -> None:
    assert {entry for entry in TABLE.values() if isinstance(entry, Refusal)} == set(Refusal)


def test_every_state_can_be_reached_and_every_live_one_left() -> None:
    moves = [(origin, target) for (origin, _), target in TABLE.items() if isinstance(target, JobStatus)]
    reached, frontier = {JobStatus.QUEUED}, [JobStatus.QUEUED]
    while frontier:
        status = frontier.pop()
        following = {target for origin, target in moves if origin is status} - reached
        reached |= following
        frontier += following
    assert reached == set(JobStatus)
    for status in set(JobStatus) - TERMINAL:
        assert [target for origin, target in moves if origin is status and target is not status]


@given(st.lists(st.sampled_from(list(Action)), max_size=30))
def test_any_sequence_of_actions_keeps_the_rules(actions: list[Action]) -> None:
    status, held = JobStatus.QUEUED, False
    for action in actions:
        before = status
        try:
            status = next_status(before, action)
        except ConflictError:
            continue
        if before.is_terminal:
            assert status is before, "terminal states never change"
        if before is JobStatus.CANCELLING:
            assert status is JobStatus.CANCELLING or status.is_terminal, "a cancel is not taken back"
        if action is Action.CLAIM:
            held = True
        if action in (Action.RELEASE, Action.STOPPED) or status.is_terminal:
            held = False
        # A worker holds the job exactly in these states: what is queued or paused has none, so none can be doubled.
        assert held is (status in (JobStatus.STARTING, JobStatus.RUNNING, JobStatus.PAUSING, JobStatus.CANCELLING))
