"""The process that plays a training, killed at any moment itself."""

import pytest

from tests.chaos.child import how_far


@pytest.mark.parametrize(("diary", "entries"), [("", 0), ("8 0\n", 8), ("8 12\n...", 11)])
def test_what_an_attempt_published_is_what_it_began_with_and_a_dot_for_every_further_entry(diary, entries):
    assert how_far(diary) == entries
